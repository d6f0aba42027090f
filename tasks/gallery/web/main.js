// The beginning: data arrives by `reelsweep.cells(…)`, and again while a run is at work.

const RELOAD_MS = 5000;
let reloads = 0;
let said = "";

function update(change) {
  const keep = activeTile()?.clip ?? null;
  change();
  showState();
  writeAddress();
  draw({ keep });
  sayCount();
}

function sayCount() {
  const number = places.cells.flat(2).length;
  inputs.count.textContent = number === table.length ? "" : `${number.toLocaleString("en")} of ${table.length.toLocaleString("en")}`;
}

function cells(document_) {
  const whole = JSON.stringify(document_);
  const isFirst = doc === null;
  if (whole !== said) {
    const open = state.open === null ? null : nameOfClip(state.open);
    const at = isFirst || !activeTile() ? null : nameOfClip(activeTile().clip ?? 0);
    said = whole;
    take(document_);
    loaded.clear();
    if (isFirst) readAddress();
    else state.open = clipNamed(open);
    fillBar();
    draw({ keep: clipNamed(at) });
    sayCount();
    document.querySelector(".running").hidden = !doc.running;
    if (isFirst && state.open !== null) show(state.open);
  }
  if (doc.running) setTimeout(reload, RELOAD_MS);
}

function reload() {
  if (document.hidden) return setTimeout(reload, RELOAD_MS);
  load(`gallery/cells.js?${++reloads}`, () => setTimeout(reload, RELOAD_MS));
}

globalThis.reelsweep = { cells, records: arrive };
document.documentElement.classList.add("js");
themeButton.hidden = document.getElementById("help").hidden = false;
setTheme(remembered());
themeButton.addEventListener("click", nextTheme);
document.getElementById("help").addEventListener("click", anywhere["?"]);
document.getElementById("record").addEventListener("close", (event) => {
  closeVideo(event.target);
  state.open = null;
  writeAddress();
  activeTile()?.element.focus({ preventScroll: true });
});
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}
for (const axis of ["rows", "across"]) inputs[axis].addEventListener("change", (event) => update(() => chooseAxis(axis, event.target.value)));
document.getElementById("swap").addEventListener("click", () => update(() => ([state.rows, state.across] = [state.across, state.rows])));
document.getElementById("smaller").addEventListener("click", () => resize(-1));
document.getElementById("larger").addEventListener("click", () => resize(1));
bar.addEventListener("input", (event) => event.target.closest(".axes") || update(readBar));
bar.addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("keydown", onKey);
listenToTiles(document.getElementById("sheet"));
let painting = 0;
const paintSoon = () => (painting ||= requestAnimationFrame(() => ((painting = 0), paint())));
addEventListener("scroll", paintSoon, { passive: true });
let width = innerWidth;
addEventListener("resize", () => (innerWidth === width ? paintSoon() : ((width = innerWidth), doc && draw({ keep: activeTile()?.clip ?? null }))));
addEventListener("hashchange", () => {
  if (!doc) return;
  readAddress();
  showState();
  draw();
  sayCount();
  if (state.open !== null) show(state.open);
});
