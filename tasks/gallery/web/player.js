// Clips that play. A browser holds some 75 players at most, so few are alive at a time and only in the view.

const MAX_PLAYERS = 24;
const MAX_STEP = 16;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const players = new Map(); // tile -> video

// `shows` is "frame" for a picture where there is no poster, "play" for a clip that runs.
function begin(tile, shows) {
  const file = table.at("file_name", tile.clip);
  if (!file || doc.isGone.has(tile.clip)) return null;
  let video = players.get(tile);
  if (!video) {
    if (players.size >= MAX_PLAYERS && shows === "frame") return null;
    video = make("video", "", null, { tabindex: "-1", "aria-hidden": "true" });
    Object.assign(video, { muted: true, playsInline: true, loop: true, preload: "auto", src: file });
    if (shows === "frame") Object.assign(video, { preload: "metadata", src: `${file}#t=0.001` });
    video.addEventListener("error", () => fail(tile), { once: true });
    tile.stage.append(video);
    players.set(tile, video);
  }
  return video;
}

function play(tile) {
  const video = begin(tile, "play");
  if (!video) return;
  video.preload = "auto";
  tile.element.classList.add("playing");
  video.play().catch(() => {});
}

function stop(tile) {
  const video = players.get(tile);
  tile.element.classList.remove("playing");
  if (!video) return;
  if (!tile.hasPoster && tile.element.isConnected) return video.pause();
  release(tile);
}

function release(tile) {
  const video = players.get(tile);
  if (!video) return;
  players.delete(tile);
  video.pause();
  video.removeAttribute("src");
  video.load();
  video.remove();
}

function fail(tile) {
  if (!players.has(tile)) return;
  release(tile);
  tile.element.classList.remove("playing");
  tile.stage.append(make("p", "broken", "does not play here"));
}

let inStep = []; // tiles that play together

// Start all at once when each can, and begin again together when the longest has ended.
async function playInStep(tiles) {
  stopStep();
  const started = tiles.slice(0, MAX_STEP).filter((tile) => begin(tile, "play"));
  inStep = started;
  const videos = started.map((tile) => players.get(tile));
  for (const video of videos) Object.assign(video, { loop: false, preload: "auto" });
  await Promise.all(videos.map(ready));
  if (inStep !== started) return;
  const again = () => {
    for (const video of videos) {
      video.currentTime = 0;
      video.play().catch(() => {});
    }
  };
  for (const tile of started) tile.element.classList.add("playing");
  for (const video of videos) video.addEventListener("ended", () => videos.every((each) => each.ended) && again());
  again();
}

function ready(video) {
  if (video.readyState >= 3) return null;
  return new Promise((resolve) => {
    for (const event of ["canplay", "error", "emptied"]) video.addEventListener(event, resolve, { once: true });
  });
}

function stopStep() {
  const tiles = inStep;
  inStep = [];
  for (const tile of tiles) {
    tile.element.classList.remove("playing");
    release(tile);
    if (!tile.hasPoster && tile.element.isConnected) begin(tile, "frame");
  }
}
