"use strict";
/* A click plays the hit in its place; with a modifier key, or where the browser cannot play it, the link opens it. */
for (const link of document.querySelectorAll(".picture")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || link.querySelector("video")) return;
    event.preventDefault();
    const video = document.createElement("video");
    video.src = link.href;
    video.controls = true;
    video.addEventListener("error", () => { location.href = link.href; });
    link.querySelector("img, span").replaceWith(video);
    video.play().catch(() => {});
  });
}
