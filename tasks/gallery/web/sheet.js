// The sheet itself: only what is in the view is in the document, so its length does not matter.

const GAP = 8;
const CAPTION = 24;
const HEAD = 36;
const LABEL = 208;
const NARROW = 700;
const TITLE = 58; // height of a row's title where it stands above the row
const ROOM = 90; // height from which a reason has room beside its status
const NAME = 28; // height of a row's name
const PROMPT_LINE = 17.5;
const OVERSCAN = 400;
const SHRINK = 0.7; // of a picture's usual width, where all columns then fit
const GROW = 1.7;
let places = null;
let geometry = null;
let canvas = null;
const shown = new Map(); // line -> { element, tiles: position -> tile }
const active = { line: 0, position: 0 };

function draw({ keep = null } = {}) {
  stopStep();
  const clips = passing();
  const narrow = innerWidth < NARROW;
  const view = document.documentElement.clientWidth;
  const label = state.rows && !narrow ? LABEL : 0;
  const margin = narrow ? 12 : 24;
  const free = view - 2 * margin - label;
  const least = Math.min(SIZES[state.size], free - GAP);
  const perLine = Math.max(1, Math.floor((free + GAP) / (least + GAP)));
  places = arrange(table, clips, state.rows, state.across, perLine);
  places.varying = varying(clips);
  places.caption = places.varying.length > 0;
  const fits = state.across ? places.over.length : perLine;
  const wide = Math.floor((free + GAP) / fits) - GAP;
  const width = wide < least * SHRINK ? least : Math.min(wide, least * GROW);
  const height = Math.round(width / aspect(clips)) + (places.caption ? CAPTION : 0);
  const title = state.rows && narrow ? TITLE : 0;
  geometry = { view, margin, label, width, height, title, head: state.across ? HEAD : 0 };
  geometry.tops = tops(places, geometry);
  rebuild(clips.length);
  const place = keep === null ? null : placeOf(places, table, keep);
  Object.assign(active, place ?? { line: 0, position: 0 });
  paint();
}

// The axes left over whose values differ among these clips: what a caption must say.
function varying(clips) {
  const usual = ["prompt_id", "seed", "sample_idx", "choice_idx", "model", "gateway", "size_asked", "seconds_asked"];
  return doc.axes.filter((name) => {
    if (name === state.rows || name === state.across || !(usual.includes(name) || name.startsWith("param_"))) return false;
    return clips.some((clip) => table.code(name, clip) !== table.code(name, clips[0]));
  }).slice(0, 4);
}

// Width over height of the usual clip, within what a sheet can bear.
function aspect(clips) {
  const count = new Map();
  for (const clip of clips) {
    const [width, height] = [table.at("width", clip), table.at("height", clip)];
    if (width && height) count.set(width / height, (count.get(width / height) ?? 0) + 1);
  }
  const usual = [...count].sort((a, b) => b[1] - a[1])[0];
  return clamp(usual ? usual[0] : 16 / 9, 0.75, 2);
}

// Where each line begins, and at the end how high the sheet is.
function tops({ lines }, { height, title, head }) {
  const found = [];
  let top = head + GAP;
  for (const line of lines) {
    if (line.isFirst && line.row > 0) top += GAP;
    if (line.isFirst) top += title;
    found.push(top);
    top += height + GAP;
  }
  return [...found, top];
}

function rebuild(number) {
  for (const line of [...shown.keys()]) dropLine(line);
  const main = document.getElementById("sheet");
  main.replaceChildren();
  if (!number) main.append(make("p", "notice pinned", table.length ? "Nothing here under these filters." : "No rows yet."));
  if (doc.num_rows > table.length) {
    const text = `The first ${table.length.toLocaleString("en")} of ${doc.num_rows.toLocaleString("en")} rows are shown; all are in manifest.parquet.`;
    main.append(make("p", "notice pinned", text));
  }
  const { view, margin, label, width } = geometry;
  canvas = make("div", "canvas", null, {
    role: "grid",
    "aria-label": `Contact sheet${state.rows ? `, rows by ${nameOf(state.rows)}` : ""}${state.across ? `, columns by ${nameOf(state.across)}` : ""}`,
    "aria-rowcount": places.lines.length + (state.across ? 1 : 0),
    "aria-colcount": numPositions(places) + (state.rows ? 1 : 0),
  });
  canvas.classList.toggle("small", geometry.height < ROOM);
  canvas.hidden = !number;
  canvas.style.height = `${geometry.tops.at(-1)}px`;
  canvas.style.setProperty("--tile", `${geometry.height}px`);
  canvas.style.setProperty("--prompt-lines", geometry.title ? 1 : Math.max(1, Math.floor((geometry.height - NAME) / PROMPT_LINE)));
  canvas.style.width = `${Math.max(view, 2 * margin + label + numPositions(places) * (width + GAP) - GAP)}px`;
  if (state.across) canvas.append(columnHeads());
  main.append(canvas);
  document.documentElement.style.setProperty("--view", `${view}px`);
  document.documentElement.style.setProperty("--bar", `${bar.offsetHeight}px`);
}

function columnHeads() {
  const row = make("div", "heads", null, { role: "row", "aria-rowindex": "1" });
  row.style.height = `${geometry.head}px`;
  if (state.rows) {
    const corner = make("div", "corner", `${nameOf(state.rows)} × ${nameOf(state.across)}`, { role: "columnheader", "aria-colindex": "1" });
    corner.style.width = `${geometry.label + geometry.margin}px`;
    row.append(corner);
  }
  return row;
}

function leftOf(position) {
  return geometry.margin + geometry.label + position * (geometry.width + GAP);
}

// Bring the document to what is in the view.
function paint() {
  if (!canvas || canvas.hidden) return;
  const box = canvas.getBoundingClientRect();
  const first = lineAt(-box.top - OVERSCAN);
  const last = lineAt(innerHeight - box.top + OVERSCAN);
  const step = geometry.width + GAP;
  const from = clamp(Math.floor((-box.left - leftOf(0)) / step) - 1, 0, numPositions(places) - 1);
  const to = clamp(Math.ceil((geometry.view - box.left - leftOf(0)) / step) + 1, 0, numPositions(places) - 1);
  for (const line of [...shown.keys()]) if ((line < first || line > last) && line !== active.line) dropLine(line);
  for (let line = first; line <= last; line++) showLine(line, from, to);
  showActive();
  if (state.across) showHeads(from, to);
}

// The place that the keys are at stays in the document, wherever the view is.
function showActive() {
  const entry = shown.get(active.line) ?? addLine(active.line);
  if (!entry.tiles.has(active.position)) addTile(entry, active.line, active.position);
  canvas.querySelector("[tabindex='0'].tile")?.setAttribute("tabindex", "-1");
  entry.tiles.get(active.position)?.element.setAttribute("tabindex", "0");
}

function lineAt(top) {
  const { tops: all } = geometry;
  let low = 0;
  let high = places.lines.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (all[middle] <= top) low = middle;
    else high = middle - 1;
  }
  return low;
}

function showLine(line, from, to) {
  if (!places.lines[line]) return;
  const entry = shown.get(line) ?? addLine(line);
  for (const [position, tile] of entry.tiles) {
    const isActive = line === active.line && position === active.position;
    if ((position < from - 2 || position > to + 2) && !isActive) dropTile(entry, position, tile);
  }
  for (let position = from; position <= to; position++) if (!entry.tiles.has(position)) addTile(entry, line, position);
}

function addLine(line) {
  const { row, isFirst } = places.lines[line];
  const element = make("div", "line", null, { role: "row", "aria-rowindex": line + 1 + (state.across ? 1 : 0) });
  element.style.top = `${geometry.tops[line] - (isFirst ? geometry.title : 0)}px`;
  element.style.height = `${geometry.height + (isFirst ? geometry.title : 0)}px`;
  if (state.rows && isFirst) element.append(rowHead(row));
  if (isFirst && row > 0) element.classList.add("begins");
  const entry = { element, tiles: new Map() };
  shown.set(line, entry);
  canvas.append(element);
  return entry;
}

function rowHead(row) {
  const value = wordOf(places.down[row] < 0 ? null : table.values(state.rows)[places.down[row]]);
  const head = make("div", "rowhead", null, { role: "rowheader", "aria-colindex": "1" });
  head.style.width = geometry.title ? `${geometry.view}px` : `${geometry.label + geometry.margin}px`;
  const name = make("p", "name");
  const playing = make("button", "step", "▶", { type: "button", "aria-label": `Play ${nameOf(state.rows)} ${value} in step`, title: "Play the row in step (P)", tabindex: "-1" });
  playing.addEventListener("click", () => toggleStep(row));
  name.append(make("b", "", state.rows === "prompt_id" ? value : `${nameOf(state.rows)} ${value}`, { dir: "auto" }), playing);
  head.append(name);
  const some = places.cells[row].find((cell) => cell.length)?.[0];
  const prompt = state.rows === "prompt_id" ? table.at("prompt", some) : null;
  if (prompt) head.append(make("p", "prompt", prompt, { dir: "auto", title: prompt }));
  return head;
}

function addTile(entry, line, position) {
  const clip = clipAt(places, line, position);
  if (clip === undefined && (!places.across || places.lines[line].offset > 0)) return;
  const tile = makeTile(clip);
  const { style } = tile.element;
  style.left = `${leftOf(position)}px`;
  style.width = `${geometry.width}px`;
  tile.element.setAttribute("aria-colindex", position + 1 + (state.rows ? 1 : 0));
  Object.assign(tile, { line, position });
  entry.tiles.set(position, tile);
  entry.element.append(tile.element);
  const isClip = clip !== undefined && table.at("file_name", clip) && table.at("status", clip) === "success";
  if (isClip && !tile.hasPoster) begin(tile, "frame");
}

function dropTile(entry, position, tile) {
  release(tile);
  tile.element.remove();
  entry.tiles.delete(position);
}

function dropLine(line) {
  const entry = shown.get(line);
  for (const tile of entry.tiles.values()) release(tile);
  entry.element.remove();
  shown.delete(line);
}

function showHeads(from, to) {
  const row = canvas.firstElementChild;
  for (const head of [...row.querySelectorAll(".head")]) if (head.at < from || head.at > to) head.remove();
  const there = new Set([...row.querySelectorAll(".head")].map((head) => head.at));
  for (let at = from; at <= to; at++) {
    if (there.has(at)) continue;
    const word = wordOf(places.over[at] < 0 ? null : table.values(state.across)[places.over[at]]);
    const text = /^-?[\d.]+$|^(yes|no|none)$/.test(word) ? `${nameOf(state.across)} ${word}` : word;
    const head = make("div", "head", text, { role: "columnheader", "aria-colindex": at + 1 + (state.rows ? 1 : 0), title: text });
    Object.assign(head.style, { left: `${leftOf(at)}px`, width: `${geometry.width}px` });
    head.at = at;
    row.append(head);
  }
}
