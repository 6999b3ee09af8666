(() => {
  const FIRST = 20, SECTION = 60, NEAR = "3000px", CHIPS = 18, TOLD = 3;
  const $ = (id) => document.getElementById(id);
  const find = $("find"), sort = $("sort"), chips = $("chips"), count = $("count"), offers = $("offers");
  const cards = $("cards"), more = $("more");
  const data = JSON.parse($("data").textContent);
  const { videos, common, tally, nameOf, withOver, fitsOf, tagsCalled, asked, alike } = library(data);
  const failures = videos.filter((v) => v.error).length;
  const state = { tag: null, failed: false };
  let shown = [], drawn = 0, wanted = new Set();
  const card = cardsOf({ nameOf }, ([tag]) => withOver(tag).some((each) => wanted.has(each)));

  /* ---- cards ---- */

  /* Cards come in sections, at first only a few. A full section that is far away is emptied until it comes near again,
     so that there are never many cards. 60 cards are full rows in any number of columns from 1 to 6. */
  function drawMore() {
    let section = cards.lastElementChild;
    if (!section || drawn % SECTION === 0) {
      section = element("ul", { className: "cards", first: drawn });
      cards.append(section);
    }
    const next = shown.slice(drawn, drawn + (drawn ? SECTION - (drawn % SECTION) : FIRST));
    section.append(...next.map(card));
    drawn += next.length;
    if (drawn % SECTION === 0) near.observe(section);
    more.hidden = drawn >= shown.length;
    end.disconnect();
    end.observe(more); /* anew: it tells again, even if the button is in sight as before */
  }
  const end = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting) && !more.hidden) drawMore();
  }, { rootMargin: "800px" });
  function fill(section) {
    if (section.hasChildNodes()) return;
    section.append(...shown.slice(section.first, section.first + SECTION).map(card));
    section.style.height = "";
  }
  function empty(section) {
    if (!section.hasChildNodes() || section.contains(document.activeElement) || section.querySelector(".player")) return;
    section.style.height = `${section.offsetHeight}px`;
    section.replaceChildren();
  }
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) fill(target); else empty(target);
  }, { rootMargin: NEAR });

  /* ---- what is asked, and what is said of it ---- */

  function drawChips() {
    const most = common.slice(0, CHIPS), names = state.tag && !most.includes(state.tag) ? [state.tag, ...most] : most;
    const items = names.map((name) => element("li", {}, element("button",
      { type: "button", className: "chip", "data-tag": name, "aria-pressed": String(state.tag === name) },
      bdi(name), " ", element("span", { className: "soft" }, String(tally.get(name) || 0)))));
    if (failures) {
      items.unshift(element("li", {}, element("button",
        { type: "button", className: "chip bad", "data-failed": "", "aria-pressed": String(state.failed) }, `failed ${failures}`)));
    }
    const focused = chips.contains(document.activeElement) ? document.activeElement.dataset.tag : null;
    chips.replaceChildren(...items);
    if (focused !== null) [...chips.querySelectorAll("button")].find((b) => b.dataset.tag === focused)?.focus();
  }

  function listed(tags) {
    const names = [...tags].map(nameOf);
    return names.slice(0, TOLD).join(" or ") + (names.length > TOLD ? " or others" : "");
  }
  function tell(parts) {
    const all = videos.length.toLocaleString("en");
    count.textContent = shown.length === videos.length ? `All ${all} shown` : `${shown.length.toLocaleString("en")} of ${all}`;
    const said = [];
    for (const { part, instead, tags } of parts) {
      if (instead) said.push(`“${part}” is not a tag of its own: these are videos with ${listed(tags)}. `);
      if (shown.length || tags.size) continue;
      said.push(`No video with “${part}”. `);
      alike(part).forEach((name, i, names) => {
        const offer = element("button", { type: "button", className: "offer", "data-offer": name }, name);
        const after = i === names.length - 1 ? "? " : "";
        said.push(i ? " or " : "Did you mean ", element("span", { className: "figure" }, offer, after));
      });
    }
    offers.replaceChildren(...said);
  }

  const last = (value, sign) => (value === null ? Infinity : sign * value); /* videos without a number come last */
  const keys = { name: (v) => v.rank, score: (v) => last(v.best, -1), mass: (v) => last(v.mass, -1), unsure: (v) => last(v.best, 1) };

  function update() {
    const { fits, tags, parts } = asked(find.value), key = keys[sort.value] || keys.name;
    const tagged = state.tag && fitsOf(tagsCalled(state.tag));
    shown = videos.filter((v) => (!state.failed || v.error) && (!tagged || tagged[v.rank] >= SCORE) && (!fits || fits[v.rank]));
    const better = fits ? (a, b) => fits[b.rank] - fits[a.rank] : () => 0;
    shown.sort((a, b) => { const x = key(a), y = key(b); return better(a, b) || (x === y ? a.rank - b.rank : x < y ? -1 : 1); });
    wanted = new Set([...tags, ...(state.tag ? tagsCalled(state.tag) : [])]);
    drawn = 0;
    near.disconnect();
    cards.replaceChildren();
    drawMore();
    tell(parts);
    const query = new URLSearchParams();
    if (find.value) query.set("find", find.value);
    if (state.tag) query.set("tag", state.tag);
    if (state.failed) query.set("failed", "1");
    if (sort.value !== "name") query.set("sort", sort.value);
    history.replaceState(null, "", query.size ? `#${query}` : location.pathname + location.search);
  }
  function restore() {
    const query = new URLSearchParams(location.hash.slice(1));
    find.value = query.get("find") || "";
    state.tag = query.get("tag");
    state.failed = query.has("failed");
    sort.value = query.get("sort") in keys ? query.get("sort") : "name";
    drawChips();
    update();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.poster, a.span");
    if (link && isPlain(event)) {
      event.preventDefault();
      play(link.closest(".card").querySelector(".poster"), link.href);
    }
    const button = event.target.closest("button[data-tag], button[data-failed], button[data-offer]");
    if (!button) return;
    if ("offer" in button.dataset) { find.value = button.dataset.offer; find.focus(); }
    else if ("failed" in button.dataset) state.failed = !state.failed;
    else state.tag = state.tag === button.dataset.tag ? null : button.dataset.tag;
    const fromCard = cards.contains(button);
    drawChips();
    update();
    if (fromCard) scrollTo(0, 0);
  });
  find.addEventListener("input", update);
  sort.addEventListener("change", update);
  more.addEventListener("click", drawMore);
  addEventListener("hashchange", restore);
  restore();
})();
