"use strict";
/* Plays `href` in place of a picture. What plays already stops. If the browser cannot play it, a link stays. */
function play(picture, href) {
  for (const other of document.querySelectorAll("video")) other.pause();
  let box = picture.previousElementSibling;
  if (!box || !box.classList.contains("player")) {
    box = document.createElement("div");
    box.className = "player";
    picture.before(box);
  }
  const had = picture.contains(document.activeElement), video = document.createElement("video");
  video.src = href;
  video.controls = true;
  video.playsInline = true;
  video.addEventListener("error", () => {
    const words = document.createElement("p"), link = document.createElement("a");
    link.href = href;
    link.textContent = "Open the file";
    words.append("It has moved, or this browser cannot play it. ", link);
    box.replaceChildren(words);
  });
  box.replaceChildren(video);
  picture.hidden = true;
  if (had) video.focus({ preventScroll: true });
  video.play().catch(() => {});
}

/* Whether a click on a link is for the page. With a modifier key, the browser opens it as it opens others. */
function isPlain(event) {
  return !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
}
