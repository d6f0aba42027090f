// Moving over the sheet: keys and pointer.

const isTyping = (target) => target.closest("input[type=search], select, textarea");

function move(lines, positions) {
  const line = clamp(active.line + lines, 0, places.lines.length - 1);
  const position = clamp(active.position + positions, 0, numPositions(places) - 1);
  focusPlace(line, position);
}

function focusPlace(line, position) {
  Object.assign(active, { line, position });
  while (active.position > 0 && !places.across && clipAt(places, line, active.position) === undefined) active.position--;
  if (places.across && clipAt(places, line, position) === undefined && places.lines[line].offset > 0) {
    active.line = places.firstLine[places.lines[line].row];
  }
  scrollToActive();
  paint();
  shown.get(active.line)?.tiles.get(active.position)?.element.focus({ preventScroll: true });
}

function scrollToActive() {
  const box = canvas.getBoundingClientRect();
  const top = box.top + geometry.tops[active.line] - geometry.title;
  const left = box.left + leftOf(active.position);
  const above = bar.getBoundingClientRect().height * (getComputedStyle(bar).position === "sticky") + geometry.head + GAP;
  const below = innerHeight - geometry.height - geometry.title - GAP;
  const before = geometry.label + geometry.margin + GAP;
  const after = geometry.view - geometry.width - GAP;
  scrollBy({
    top: top < above ? top - above : top > below ? Math.min(top - below, top - above) : 0,
    left: left < before ? left - before : left > after ? left - after : 0,
    behavior: "instant",
  });
}

function focusClip(clip) {
  const place = placeOf(places, table, clip);
  if (place) return focusPlace(place.line, place.position);
  update(() => Object.assign(state, { status: "", find: "", filters: {} }));
  const again = placeOf(places, table, clip);
  if (again) focusPlace(again.line, again.position);
}

// To the next place after the active one whose clip is wanted, around the end.
function jump(isWanted) {
  const width = numPositions(places);
  const total = places.lines.length * width;
  const here = active.line * width + active.position;
  for (let step = 1; step <= total; step++) {
    const at = (here + step) % total;
    const clip = clipAt(places, Math.floor(at / width), at % width);
    if (clip !== undefined && isWanted(clip)) return focusPlace(Math.floor(at / width), at % width);
  }
}

function activeTile() {
  return shown.get(active.line)?.tiles.get(active.position);
}

function toggleStep(row) {
  if (inStep.length && places.lines[inStep[0].line].row === row) return stopStep();
  const tiles = [];
  for (const { tiles: of } of shown.values()) for (const tile of of.values()) if (places.lines[tile.line].row === row && isVisible(tile)) tiles.push(tile);
  playInStep(tiles.sort((a, b) => a.line - b.line || a.position - b.position));
}

function isVisible(tile) {
  const box = tile.element.getBoundingClientRect();
  return box.right > geometry.label && box.left < geometry.view && box.bottom > 0 && box.top < innerHeight;
}

const perScreen = () => Math.max(1, Math.floor(innerHeight / (geometry.height + GAP)) - 1);
const onSheet = {
  ArrowLeft: () => move(0, -1),
  ArrowRight: () => move(0, 1),
  ArrowUp: () => move(-1, 0),
  ArrowDown: () => move(1, 0),
  Home: () => focusPlace(active.line, 0),
  End: () => focusPlace(active.line, numPositions(places) - 1),
  PageUp: () => move(-perScreen(), 0),
  PageDown: () => move(perScreen(), 0),
  Enter: () => activeTile()?.clip !== undefined && openRecord(activeTile().clip),
  " ": () => activeTile() && (activeTile().element.classList.contains("playing") ? stop : play)(activeTile()),
};
const anywhere = {
  "/": () => inputs.find.focus(),
  "?": () => document.getElementById("keys").showModal(),
  p: () => toggleStep(places.lines[active.line].row),
  d: () => jump((clip) => doc.group.has(clip)),
  n: () => jump((clip) => table.at("status", clip) !== "success"),
  "+": () => resize(1),
  "-": () => resize(-1),
  Escape: () => (inStep.length ? stopStep() : activeTile()?.element.focus({ preventScroll: true })),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.getElementById("keys").open) return;
  if (document.getElementById("record").open) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by && !event.target.closest("video, pre, .scroller")) stepRecord(by);
    return;
  }
  if (isTyping(event.target)) {
    if (event.key === "Escape") activeTile()?.element.focus();
    return;
  }
  const inGrid = event.target.closest(".tile") || event.target === document.body || event.target.id === "sheet";
  const act = (inGrid && places?.lines.length && onSheet[event.key]) || (table.length && anywhere[event.key.length === 1 ? event.key.toLowerCase() : event.key]);
  if (!act) return;
  event.preventDefault();
  act();
}

// Resting the pointer on a clip, or moving to it with the keys, plays it without sound.
function listenToTiles(main) {
  const tileOf = (event) => event.target.closest?.(".tile")?.tile;
  const isIdle = (tile) => tile && tile.clip !== undefined && !inStep.includes(tile);
  main.addEventListener("pointerover", (event) => {
    const tile = tileOf(event);
    if (event.pointerType === "mouse" && isIdle(tile) && !still.matches && !tile.element.contains(event.relatedTarget)) play(tile);
  });
  main.addEventListener("pointerout", (event) => {
    const tile = tileOf(event);
    if (event.pointerType === "mouse" && isIdle(tile) && !tile.element.contains(event.relatedTarget)) stop(tile);
  });
  main.addEventListener("focusin", (event) => {
    const tile = tileOf(event);
    if (isIdle(tile) && !still.matches && tile.element.matches(":focus-visible")) play(tile);
  });
  main.addEventListener("focusout", (event) => isIdle(tileOf(event)) && stop(tileOf(event)));
  main.addEventListener("click", (event) => {
    const tile = tileOf(event);
    if (!tile) return;
    Object.assign(active, { line: tile.line, position: tile.position });
    paint();
    tile.element.focus({ preventScroll: true });
    if (tile.clip !== undefined) openRecord(tile.clip);
  });
}
