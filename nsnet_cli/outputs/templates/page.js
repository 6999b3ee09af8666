"use strict";
(() => {
  const { frames, end_s } = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const video = $("video"), timeline = $("timeline");
  if (!timeline) return;
  const cursor = $("cursor"), playhead = $("playhead"), peek = $("peek"), peekImage = $("peek-image"), peekText = $("peek-text");
  let at = -1, here = null;

  const imageOf = (i) => document.querySelector(`#f${i} img`);
  const percent = (t) => `${Math.min(Math.max(t / end_s, 0), 1) * 100}%`;
  const nearest = (t) => frames.reduce((best, f, i) => (Math.abs(f.t - t) < Math.abs(frames[best].t - t) ? i : best), 0);
  const frameUnder = (event) => {
    const box = timeline.getBoundingClientRect();
    return nearest(((event.clientX - box.left) / box.width) * end_s);
  };

  /* show frame i above the timeline; the frame under "Kept" or "Suppressed" lights up with it */
  function show(i) {
    const frame = frames[i], image = imageOf(i);
    at = i;
    cursor.hidden = peek.hidden = false;
    cursor.style.left = percent(frame.t);
    if (peekImage && image) { peekImage.width = image.width; peekImage.height = image.height; peekImage.src = image.src; }
    peekText.textContent = frame.words;
    peekText.classList.toggle("mark", frame.chosen);
    const half = peek.offsetWidth / 2, width = timeline.clientWidth;
    peek.style.left = `${Math.min(Math.max((frame.t / end_s) * width, half), Math.max(width - half, half))}px`;
    if (here) here.classList.remove("here");
    here = $(`f${i}`);
    if (here) here.classList.add("here");
  }
  function hide() {
    cursor.hidden = peek.hidden = true;
    if (here) here.classList.remove("here");
    here = null;
  }
  function speak(i) {
    timeline.setAttribute("aria-valuenow", frames[i].t.toFixed(3));
    timeline.setAttribute("aria-valuetext", frames[i].words);
  }
  /* slightly after the frame's time, so that rounding never shows the frame before */
  function seek(t) {
    at = nearest(t);
    speak(at);
    playhead.hidden = false;
    playhead.style.left = percent(t);
    if (video && video.readyState > 0) video.currentTime = Math.min(t + 0.001, video.duration || t);
    else if (video) video.addEventListener("loadedmetadata", () => { video.currentTime = t + 0.001; }, { once: true });
  }

  timeline.addEventListener("pointermove", (event) => show(frameUnder(event)));
  timeline.addEventListener("pointerleave", () => { if (document.activeElement !== timeline || !timeline.matches(":focus-visible")) hide(); });
  timeline.addEventListener("click", (event) => { const i = frameUnder(event); show(i); seek(frames[i].t); });
  timeline.addEventListener("focus", () => { if (timeline.matches(":focus-visible")) show(at < 0 ? 0 : at); });
  timeline.addEventListener("blur", hide);
  timeline.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const last = frames.length - 1, now = Math.max(at, 0);
    const after = frames.findIndex((f, i) => f.chosen && i > now), before = frames.findLastIndex((f, i) => f.chosen && i < now);
    const to = {
      ArrowRight: Math.min(at + 1, last), ArrowUp: Math.min(at + 1, last), ArrowLeft: Math.max(at - 1, 0), ArrowDown: Math.max(at - 1, 0),
      Home: 0, End: last, PageUp: after < 0 ? now : after, PageDown: before < 0 ? now : before, Enter: now,
    }[event.key];
    if (to !== undefined) { event.preventDefault(); show(to); seek(frames[to].t); }
    else if (event.key === " " && video) { event.preventDefault(); if (video.paused) video.play().catch(() => {}); else video.pause(); }
  });

  for (const button of document.querySelectorAll("button[data-time]")) {
    button.addEventListener("click", () => {
      const t = Number(button.dataset.time);
      seek(t);
      if (video && video.getBoundingClientRect().bottom < 80) video.scrollIntoView({ block: "start" });
    });
  }
  for (const button of document.querySelectorAll(".frame")) {
    const t = Number(button.dataset.time);
    button.addEventListener("pointerenter", () => { cursor.hidden = false; cursor.style.left = percent(t); });
    button.addEventListener("pointerleave", () => { cursor.hidden = true; });
  }

  if (!video) return;
  const best = frames.reduce((b, f, i) => (b < 0 || f.s > frames[b].s ? i : b), -1);
  if (best >= 0 && imageOf(best)) video.poster = imageOf(best).src;
  const follow = () => {
    playhead.hidden = false;
    playhead.style.left = percent(video.currentTime);
    if (!video.paused && !video.ended) requestAnimationFrame(follow);
  };
  for (const name of ["play", "timeupdate", "seeked"]) video.addEventListener(name, follow);
  const failed = () => { $("no-video").hidden = false; };
  video.addEventListener("error", failed);
  if (video.error) failed();
})();
