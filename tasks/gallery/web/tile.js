// One place of the sheet: a clip's picture, a text, the reason why there is neither, or nothing planned.

function makeTile(clip) {
  const element = make("div", "tile", null, { role: "gridcell", tabindex: "-1" });
  const tile = { clip, element, stage: make("div", "stage"), hasPoster: false };
  element.tile = tile;
  element.append(tile.stage);
  if (clip === undefined) {
    element.classList.add("empty");
    element.setAttribute("aria-label", "not in the plan");
    return tile;
  }
  element.classList.add(doc.isGone.has(clip) ? "s-failed" : `s-${table.at("status", clip)}`);
  element.setAttribute("aria-label", labelOf(clip));
  fill(tile);
  const marks = marksOf(clip);
  if (marks.length) tile.stage.append(markList(marks));
  if (places.caption) element.append(make("p", "caption", captionOf(clip), { title: table.at("prompt", clip) ?? "" }));
  return tile;
}

function fill(tile) {
  const { clip, stage } = tile;
  const text = table.at("text", clip) ?? table.at("tool_calls", clip);
  if (table.at("file_name", clip) && table.at("status", clip) === "success") {
    if (doc.isGone.has(clip)) return stage.append(absent("✕", "file is gone", table.at("file_name", clip)));
    const poster = doc.posters[clip];
    tile.hasPoster = Boolean(poster);
    if (poster) stage.append(make("img", "", null, { src: poster, alt: "", decoding: "async", draggable: "false" }));
  } else if (text !== null && table.at("status", clip) === "success") {
    stage.append(make("p", "words", text, { dir: "auto" }));
  } else {
    const [word, sign] = doc.statuses[table.at("status", clip)];
    stage.append(absent(sign, word, table.at("reason", clip)));
  }
}

function absent(sign, word, reason) {
  const box = make("div", "absent");
  const head = make("p", "head");
  head.append(make("span", "sign", sign, { "aria-hidden": "true" }), make("b", "", word));
  box.append(head);
  if (reason) box.append(make("p", "reason", reason, { dir: "auto", title: reason }));
  return box;
}

// What is particular: a sign, a word, and a sentence for who asks.
function marksOf(clip) {
  const group = doc.group.get(clip) ?? { same: [], near: [] };
  const marks = [];
  if (group.same.length) marks.push(["＝", `${group.same.length}`, `the same clip ${group.same.length} times`]);
  if (group.near.length) marks.push(["≈", `${group.near.length}`, `nearly the same as ${group.near.length} other`]);
  if (table.at("shared", clip)) marks.push(["", "shared", "another row asks for the same; bought once"]);
  if (table.at("in_plan", clip) === false) marks.push(["", "not in plan", "the latest plan no longer asks for it"]);
  if (table.at("accepted", clip) === false) marks.push(["", "rejected", table.at("reject_reason", clip) ?? "a check failed"]);
  return marks;
}

function markList(marks) {
  const list = make("p", "marks");
  for (const [sign, word, title] of marks) list.append(make("span", "mark", sign + word, { title }));
  return list;
}

function labelOf(clip) {
  const status = doc.statuses[table.at("status", clip)][0];
  const parts = [table.at("prompt_id", clip), `seed ${table.at("seed", clip) ?? "none"}`, status, table.at("reason", clip)];
  for (const name of [state.rows, state.across, ...places.varying]) {
    if (name && !["prompt_id", "seed", "status"].includes(name)) parts.splice(2, 0, pairOf(name, clip));
  }
  return [...parts, ...marksOf(clip).map((mark) => mark[2])].filter(Boolean).join(", ");
}

function captionOf(clip) {
  return places.varying.map((name) => (name === "prompt_id" ? table.at(name, clip) : pairOf(name, clip))).join(" · ");
}

function pairOf(name, clip) {
  return `${nameOf(name)} ${wordOf(table.at(name, clip))}`;
}
