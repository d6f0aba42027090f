"use strict";
// Without this script the page works too: native controls play the clips.
document.documentElement.classList.add("js");

// A browser opens some 75 players at most, so a clip is loaded only while it is near the view.
const still = matchMedia("(prefers-reduced-motion: reduce)");
const near = new IntersectionObserver((entries) => {
  for (const { target: stage, isIntersecting } of entries) {
    const video = stage.querySelector("video");
    if (isIntersecting && !video.hasAttribute("src")) {
      video.preload = "metadata";
      video.src = video.dataset.src + "#t=0.001";
    } else if (!isIntersecting && video.hasAttribute("src")) {
      stop(stage);
      video.removeAttribute("src");
      video.load();
    }
  }
}, { rootMargin: "200px" });

function play(stage, sound) {
  const video = stage.querySelector("video");
  video.muted = !sound;
  video.play().catch(() => stop(stage));
  stage.classList.add("playing");
  stage.querySelector(".play").setAttribute("aria-pressed", "true");
}

function stop(stage) {
  stage.querySelector("video").pause();
  stage.classList.remove("playing");
  delete stage.dataset.kept;
  stage.querySelector(".play").setAttribute("aria-pressed", "false");
}

for (const stage of document.querySelectorAll(".stage:has(video)")) {
  const video = stage.querySelector("video");
  const button = stage.querySelector(".play");
  video.removeAttribute("controls");
  video.dataset.src = video.getAttribute("src");
  video.removeAttribute("src");
  video.tabIndex = -1;
  near.observe(stage);
  // Resting the pointer on a clip plays it silently; a click keeps it playing, with its sound.
  stage.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && !still.matches && play(stage, false));
  stage.addEventListener("pointerleave", () => "kept" in stage.dataset || stop(stage));
  button.addEventListener("click", () => {
    if ("kept" in stage.dataset) return stop(stage);
    stage.dataset.kept = "";
    play(stage, true);
  });
}

const filters = document.querySelector(".filters");
const none = document.querySelector(".none");
const cells = Array.from(document.querySelectorAll(".cell"), (cell) => ({
  cell,
  status: cell.dataset.status,
  words: [".prompt", ".id", ".seed"].map((part) => cell.querySelector(part).textContent).join("\n").toLowerCase(),
}));

function filter() {
  const wanted = filters.querySelector(".search").value.trim().toLowerCase();
  const wantedStatus = filters.querySelector(":checked").value;
  let shown = 0;
  for (const { cell, status, words } of cells) {
    const fits = words.includes(wanted) && (wantedStatus === "" || status === wantedStatus);
    cell.classList.toggle("off", !fits);
    shown += fits;
  }
  none.hidden = shown > 0 || cells.length === 0;
}

filters.hidden = false;
filters.addEventListener("input", filter);
filters.addEventListener("submit", (event) => event.preventDefault());
if (filters.querySelector(".search").value || filters.querySelector(":checked").value) filter(); // a reload keeps them

// The whole prompt shows with the rest of the record.
document.addEventListener("toggle", ({ target }) => target.closest(".cell")?.classList.toggle("open", target.open), true);
