/* A click plays the hit in its place. */
for (const link of document.querySelectorAll(".picture")) {
  link.addEventListener("click", (event) => {
    if (!isPlain(event)) return;
    event.preventDefault();
    play(link, link.href);
  });
}
