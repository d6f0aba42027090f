// The bar above the sheet: axes, filters, search, size; the theme.

const bar = document.querySelector(".bar");
const inputs = Object.fromEntries(["rows", "across", "find", "count", "filtered"].map((id) => [id, document.getElementById(id)]));

function fillBar() {
  const several = doc.axes.length > 0;
  bar.hidden = table.length === 0;
  bar.querySelector(".axes").hidden = !several;
  for (const axis of ["rows", "across"]) {
    inputs[axis].replaceChildren(option("", "–"), ...doc.axes.map((name) => option(name, nameOf(name))));
  }
  fillStatuses();
  const filters = doc.axes.filter((name) => name !== "status" && table.values(name).length <= 200);
  bar.querySelector(".more").hidden = !filters.length;
  bar.querySelector(".filters").replaceChildren(...filters.map(filterOf));
  showState();
}

function option(value, text) {
  return make("option", "", text, { value });
}

function fillStatuses() {
  const count = new Map();
  for (const clip of table.all()) count.set(table.at("status", clip), (count.get(table.at("status", clip)) ?? 0) + 1);
  const chips = [["", "", "all", table.length]];
  for (const [name, [word, sign]] of Object.entries(doc.statuses ?? {})) if (count.has(name)) chips.push([name, sign, word, count.get(name)]);
  const alike = [...doc.group.values()];
  const same = alike.filter((group) => group.same.length).length;
  const near = alike.filter((group) => group.near.length).length;
  const rejected = table.all().filter((clip) => table.at("accepted", clip) === false).length;
  if (rejected) chips.push(["rejected", "✕", "rejected", rejected]);
  if (same) chips.push(["same", "＝", "same clip", same]);
  if (near) chips.push(["near", "≈", "nearly the same", near]);
  const list = bar.querySelector(".statuses");
  list.hidden = chips.length < 3;
  list.replaceChildren(list.firstElementChild, ...chips.map(([value, sign, word, number]) => {
    const label = make("label", value ? `chip s-${value}` : "chip");
    const input = make("input", "", null, { type: "radio", name: "status", value });
    const text = make("span");
    if (sign) text.append(make("i", "", sign, { "aria-hidden": "true" }));
    text.append(`${word} `, make("b", "", number.toLocaleString("en")));
    label.append(input, text);
    return label;
  }));
}

function filterOf(name) {
  const label = make("label", "filter", nameOf(name), { dir: "auto" });
  const select = make("select", "", null, { name: `f.${name}` });
  const values = table.values(name).map(wordOf);
  const hasNone = table.columns[name].codes?.some((code) => code < 0);
  select.append(option("", "all"), ...values.map((value) => option(value, value)));
  if (hasNone && !values.includes("none")) select.append(option("none", "none"));
  label.append(select);
  return label;
}

// The controls say what the state is, also when it came from the address.
function showState() {
  inputs.rows.value = state.rows;
  inputs.across.value = state.across;
  if (inputs.find.value !== state.find) inputs.find.value = state.find;
  for (const input of bar.querySelectorAll("[name=status]")) input.checked = input.value === state.status;
  for (const select of bar.querySelectorAll(".filters select")) select.value = state.filters[select.name.slice(2)] ?? "";
  inputs.filtered.textContent = Object.keys(state.filters).length || "";
}

function readBar() {
  const chosen = bar.querySelector("[name=status]:checked");
  state.status = chosen ? chosen.value : "";
  state.find = inputs.find.value;
  state.filters = {};
  for (const select of bar.querySelectorAll(".filters select")) if (select.value) state.filters[select.name.slice(2)] = select.value;
}

function chooseAxis(axis, value) {
  const other = axis === "rows" ? "across" : "rows";
  if (value && state[other] === value) state[other] = state[axis];
  state[axis] = value;
}

function resize(by) {
  const size = clamp(state.size + by, 0, SIZES.length - 1);
  if (size !== state.size) update(() => (state.size = size));
}

const THEMES = { "": "Auto", light: "Light", dark: "Dark" };
const themeButton = document.getElementById("theme");

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  themeButton.textContent = THEMES[theme];
  themeButton.setAttribute("aria-label", `Theme: ${THEMES[theme]}`);
}

function nextTheme() {
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(document.documentElement.dataset.theme ?? "") + 1) % names.length];
  setTheme(next);
  remember(next);
}

function remember(theme) {
  try {
    localStorage.setItem("reelsweep-theme", theme);
  } catch {} // a browser may forbid it to files
}

function remembered() {
  try {
    return localStorage.getItem("reelsweep-theme") ?? "";
  } catch {
    return "";
  }
}
