// What is looked at and how: kept in the address, so that a link shows the same.

const SIZES = [96, 132, 184, 256, 360];
const state = { rows: "", across: "", size: 2, status: "", find: "", filters: {}, open: null };
let doc = null;
let table = null;
let defaults = { rows: "", across: "" };

function take(document_) {
  doc = document_;
  table = new Table(doc.columns ?? {});
  doc.axes ??= [];
  defaults = { rows: doc.rows ?? "", across: doc.across ?? "" };
  doc.isGone = new Set(doc.gone ?? []);
  doc.group = groups(doc.twins ?? [], doc.near ?? []);
}

// Clip -> those that look the same (itself too: one list for all of them), those nearly so with their distance.
function groups(twins, near) {
  const found = new Map();
  const of = (clip) => found.get(clip) ?? found.set(clip, { same: [], near: [] }).get(clip);
  for (const group of twins) for (const clip of group) of(clip).same = group;
  for (const [clip, other, distance] of near) {
    of(clip).near.push([other, distance]);
    of(other).near.push([clip, distance]);
  }
  return found;
}

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const axis = (name) => {
    const wanted = given.get(name) ?? defaults[name];
    return doc.axes.includes(wanted) ? wanted : "";
  };
  state.rows = axis("rows");
  state.across = axis("across") === state.rows ? "" : axis("across");
  state.size = clamp(Number(given.get("size") ?? 2) || 0, 0, SIZES.length - 1);
  state.status = given.get("status") ?? "";
  state.find = given.get("find") ?? "";
  state.filters = {};
  for (const name of doc.axes) if (given.has(`f.${name}`)) state.filters[name] = given.get(`f.${name}`);
  state.open = clipNamed(given.get("open"));
}

function writeAddress() {
  const said = new URLSearchParams();
  for (const name of ["rows", "across"]) if (state[name] !== defaults[name]) said.set(name, state[name]);
  if (state.size !== 2) said.set("size", state.size);
  for (const name of ["status", "find"]) if (state[name]) said.set(name, state[name]);
  for (const [name, value] of Object.entries(state.filters)) said.set(`f.${name}`, value);
  if (state.open !== null) said.set("open", nameOfClip(state.open));
  const hash = said.toString();
  if (hash !== location.hash.slice(1)) history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

// A clip's name in an address: the same after the page was written anew.
function nameOfClip(clip) {
  const parts = ["fingerprint", "sample_idx", "choice_idx", "prompt_id"];
  return parts.map((name) => table.at(name, clip) ?? "").join("/");
}

function clipNamed(name) {
  if (!name) return null;
  return table.all().find((clip) => nameOfClip(clip) === name) ?? null;
}

// The clips that pass the filters, in the order of the plan.
function passing() {
  const words = state.find.trim().toLowerCase();
  return table.all().filter((clip) => hasStatus(clip) && hasValues(clip) && (!words || textOf(clip).includes(words)));
}

function hasStatus(clip) {
  if (!state.status) return true;
  if (state.status === "same") return (doc.group.get(clip)?.same.length ?? 0) > 0;
  if (state.status === "near") return (doc.group.get(clip)?.near.length ?? 0) > 0;
  if (state.status === "rejected") return table.at("accepted", clip) === false;
  return table.at("status", clip) === state.status;
}

function hasValues(clip) {
  return Object.entries(state.filters).every(([name, value]) => wordOf(table.at(name, clip)) === value);
}

function textOf(clip) {
  const parts = ["prompt_id", "prompt", "seed", "reason", "text", "fingerprint"];
  return parts.map((name) => table.at(name, clip) ?? "").join("\n").toLowerCase();
}
