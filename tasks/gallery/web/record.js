// The whole record of one clip, in a dialog. Records come in files of a few hundred, when first needed.

const loaded = new Map(); // file -> promise of its document
const arriving = new Map(); // file -> what to call when it is there

function arrive(file, document_) {
  arriving.get(file)?.({ ...document_, table: new Table(document_.columns) });
}

function recordsOf(clip) {
  if (!doc.records_per_file) return Promise.resolve(null);
  const file = Math.floor(clip / doc.records_per_file);
  if (!loaded.has(file)) {
    loaded.set(file, new Promise((resolve) => {
      arriving.set(file, resolve);
      load(`gallery/records/${file}.js`, () => resolve(null));
    }));
  }
  return loaded.get(file);
}

function load(address, failed = () => {}) {
  const script = make("script", "", null, { src: address });
  script.addEventListener("error", failed);
  script.addEventListener("load", () => script.remove());
  document.head.append(script);
}

async function openRecord(clip) {
  const dialog = document.getElementById("record");
  stopStep();
  state.open = clip;
  writeAddress();
  const found = await recordsOf(clip);
  if (state.open !== clip) return;
  closeVideo(dialog);
  dialog.replaceChildren(headOf(clip), sideOf(clip, found), bodyOf(clip, found));
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("h2").focus();
  dialog.scrollTop = 0;
}

function closeVideo(dialog) {
  const video = dialog.querySelector("video");
  if (!video) return;
  video.pause();
  video.removeAttribute("src");
  video.load();
}

function headOf(clip) {
  const [word, sign] = doc.statuses[table.at("status", clip)];
  const head = make("header", "record-head");
  const title = make("h2", "", null, { id: "record-title", dir: "auto", tabindex: "-1", autofocus: "" });
  const seed = table.at("seed", clip);
  title.append(table.at("prompt_id", clip), make("small", "", seed === null ? "no seed" : `seed ${seed}`));
  const badge = make("span", `badge s-${table.at("status", clip)}`, `${sign} ${word}`);
  const steps = make("span", "steps");
  for (const [sign_, word_, by] of [["‹", "Previous clip", -1], ["›", "Next clip", 1]]) {
    const button = make("button", "quiet", sign_, { type: "button", "aria-label": word_, title: `${word_} (${by < 0 ? "←" : "→"})` });
    button.addEventListener("click", () => stepRecord(by));
    steps.append(button);
  }
  const close = make("button", "quiet close", "✕", { type: "button", "aria-label": "Close" });
  close.addEventListener("click", () => document.getElementById("record").close());
  steps.append(close);
  head.append(title, badge, steps);
  return head;
}

function stageOf(clip) {
  const stage = make("div", "record-stage");
  const file = table.at("file_name", clip);
  const text = table.at("text", clip);
  if (file && table.at("status", clip) === "success" && !doc.isGone.has(clip)) {
    const video = make("video", "", null, { src: file, controls: "", playsinline: "", loop: "", preload: "auto", "aria-label": `Clip: ${table.at("prompt_id", clip)}` });
    if (doc.posters[clip]) video.poster = doc.posters[clip];
    video.muted = true;
    if (!still.matches) video.play().catch(() => {});
    stage.append(video);
  } else if (text !== null) {
    stage.append(make("p", "words", text, { dir: "auto" }));
  } else {
    const [word, sign] = doc.statuses[table.at("status", clip)];
    stage.classList.add(doc.isGone.has(clip) ? "s-failed" : `s-${table.at("status", clip)}`);
    stage.append(doc.isGone.has(clip) ? absent("✕", "file is gone", file) : absent(sign, word, table.at("reason", clip)));
  }
  return stage;
}

// A column of this row: from its whole record where that is there, else from the sheet.
function reader(clip, found) {
  const at = found ? clip % doc.records_per_file : clip;
  return (name) => (found ? found.table : table).at(name, at);
}

// A folder may hold the same request to several gateways.
function askedOf(whole) {
  return `${whole("request_fingerprint")}@${whole("gateway")}`;
}

function sideOf(clip, found) {
  const side = make("div", "record-side");
  const whole = reader(clip, found);
  side.append(stageOf(clip), block("Prompt", whole("prompt") ?? "(no prompt)", { copied: "prompt" }));
  for (const [title, name] of [["Answer", "text"], ["Tool calls", "tool_calls"]]) {
    const text = whole(name);
    if (!text) continue;
    const said = block(table.at("file_name", clip) ? "" : title, text, { copied: title.toLowerCase(), code: true });
    side.append(table.at("file_name", clip) ? folded(`${title} as it came`, said) : said);
  }
  const alike = alikeOf(clip);
  if (alike) side.append(alike);
  const again = found?.again[askedOf(whole)];
  if (again) side.append(block("Exactly this again", again, { copied: "command", code: true }));
  return side;
}

function bodyOf(clip, found) {
  const body = make("div", "record-body");
  if (!found) {
    const text = doc.running ? "The rest of the record comes with the end of the run." : "The rest of the record is not there: write the page anew.";
    body.append(make("p", "notice", text));
    return body;
  }
  const whole = reader(clip, found);
  for (const [title, names] of found.sections) {
    const list = facts(names, whole, found.meanings);
    if (list.childElementCount) body.append(section(title, list));
  }
  const attempts = found.attempts[askedOf(whole)];
  if (attempts) body.append(section(`Attempts (${attempts.length})`, attemptTable(attempts, found.meanings)));
  const messages = whole("messages");
  if (messages) body.append(folded("Messages as sent", block("", readable(messages), { copied: "messages", code: true })));
  return body;
}

function section(title, ...content) {
  const element = make("section");
  element.append(make("h3", "", title), ...content);
  return element;
}

function folded(title, content) {
  const element = make("details");
  element.append(make("summary", "", title), content);
  return element;
}

function block(title, text, { copied, code = false }) {
  const element = make("section", "block");
  const head = make("div", "block-head");
  if (title) head.append(make("h3", "", title));
  head.append(copyButton(text, copied));
  element.append(head, make(code ? "pre" : "p", "text", text, { dir: "auto", ...(code ? { tabindex: "0" } : {}) }));
  return element;
}

function facts(names, whole, meanings) {
  const list = make("dl", "facts");
  for (const name of names) {
    const value = whole(name);
    if (value === null || value === undefined) continue;
    const pair = make("div");
    pair.append(make("dt", "", name.replace(/^(param|meta|check)_/, ""), { title: meanings[name] ?? name }));
    const said = make("dd", "", null);
    if (name === "file_name") said.append(make("a", "", value, { href: table.at(name, state.open) }));
    else said.textContent = wordOf(value);
    if (/sha256|fingerprint|phash|task_id|run_id/.test(name)) said.append(copyButton(value, name));
    pair.append(said);
    list.append(pair);
  }
  return list;
}

function attemptTable(attempts, meanings) {
  const names = [...new Set(attempts.flatMap((attempt) => Object.keys(attempt)))];
  const scroller = make("div", "scroller", null, { tabindex: "0", role: "region", "aria-label": "Attempts" });
  const element = make("table");
  const head = make("tr");
  for (const name of names) head.append(make("th", "", nameOf(name), { scope: "col", title: meanings[name] ?? name }));
  element.append(make("thead"), make("tbody"));
  element.tHead.append(head);
  for (const attempt of attempts) {
    const row = make("tr");
    for (const name of names) row.append(make("td", "", attempt[name] === undefined ? "" : wordOf(attempt[name]), { dir: "auto" }));
    element.tBodies[0].append(row);
  }
  scroller.append(element);
  return scroller;
}

// Links to the clips that look the same, or nearly so.
function alikeOf(clip) {
  const group = doc.group.get(clip);
  if (!group) return null;
  const list = make("ul", "alike");
  const link = (other, how) => {
    const item = make("li");
    const button = make("button", "", `${table.at("prompt_id", other)}, seed ${table.at("seed", other) ?? "none"}`, { type: "button" });
    button.addEventListener("click", () => show(other));
    item.append(button, ` ${how}`);
    list.append(item);
  };
  for (const other of group.same.filter((each) => each !== clip).slice(0, 50)) link(other, "frame for frame the same");
  for (const [other, distance] of group.near.slice(0, 50)) link(other, `nearly the same, distance ${distance} (marked up to ${doc.near_threshold})`);
  return section("Looks like", list);
}

function show(clip) {
  focusClip(clip);
  openRecord(clip);
}

function stepRecord(by) {
  const order = [];
  for (let line = 0; line < places.lines.length; line++) {
    for (let position = 0; position < numPositions(places); position++) {
      const clip = clipAt(places, line, position);
      if (clip !== undefined) order.push(clip);
    }
  }
  const next = order[order.indexOf(state.open) + by];
  if (next !== undefined) show(next);
}

function readable(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

function copyButton(text, what) {
  const button = make("button", "copy", "Copy", { type: "button", "aria-label": `Copy ${what}` });
  button.addEventListener("click", async () => {
    const done = await copy(String(text), button.closest("dialog"));
    button.textContent = done ? "Copied" : "Not copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return button;
}

async function copy(text, near) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make("textarea", "offscreen", null, { "aria-hidden": "true" });
    area.value = text;
    near.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
