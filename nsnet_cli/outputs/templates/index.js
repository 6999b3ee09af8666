"use strict";
(() => {
  const PAGE = 48, CHIPS = 18, TAGS = 5;
  const $ = (id) => document.getElementById(id);
  const videos = JSON.parse($("data").textContent);
  const find = $("find"), sort = $("sort"), chips = $("chips"), count = $("count"), cards = $("cards"), more = $("more");
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const byName = videos.slice().sort((a, b) => collator.compare(a.path, b.path));
  byName.forEach((v, i) => {
    v.rank = i;
    v.text = `${v.path} ${v.tags.map((t) => t[0]).join(" ")} ${v.parents.join(" ")} ${v.nothing || ""} ${v.error ? v.error.join(" ") : ""}`.toLowerCase();
  });
  const last = (value, sign) => (value === null ? Infinity : sign * value); /* videos without a number come last */
  const keys = { name: (v) => v.rank, score: (v) => last(v.best, -1), mass: (v) => last(v.mass, -1), unsure: (v) => last(v.best, 1) };
  const tally = new Map(), sure = new Set();
  for (const v of videos) for (const [name, , , kind] of v.tags) {
    if (kind !== "guess") tally.set(name, (tally.get(name) || 0) + 1);
    if (kind === "certain") sure.add(name);
  }
  const common = [...tally].filter((t) => sure.has(t[0])).sort((a, b) => b[1] - a[1] || collator.compare(a[0], b[0])).slice(0, CHIPS).map((t) => t[0]);
  const failures = videos.filter((v) => v.error).length;

  const state = { tag: null, failed: false };
  let shown = [], drawn = 0;

  function element(name, props = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(props)) {
      if (key.startsWith("aria") || key.startsWith("data")) node.setAttribute(key, value); else node[key] = value;
    }
    node.append(...children);
    return node;
  }
  function drawing(name, attributes, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  function spark(v) {
    const step = 100 / v.curve.length, high = (c) => (97 - 0.92 * c).toFixed(1);
    const line = v.curve.map((c, i) => `L${(step * (i + 0.5)).toFixed(2)} ${high(c)}`).join(" ");
    const inner = drawing("svg", { width: "100%", height: "82%", viewBox: "0 0 100 100", preserveAspectRatio: "none" },
      drawing("path", { d: `M0 100 L0 ${high(v.curve[0])} ${line} L100 ${high(v.curve[v.curve.length - 1])} L100 100` }));
    const marks = v.dots.map((x) => drawing("line", { x1: `${x}%`, x2: `${x}%`, y1: "86%", y2: "100%" }));
    return drawing("svg", { class: "spark", role: "img", "aria-label": `saliency over time, mean ${v.mass.toFixed(2)}` }, inner, ...marks);
  }

  const guess = ([name, , figure]) => element("span", { className: "guess" }, `${name}? ${figure}`);
  const choice = ([name, , figure, kind, seen]) => element("button",
    { type: "button", "data-tag": name, "aria-label": `${name}, ${kind === "score" ? "score " : ""}${figure}${seen && `, seen ${seen}`}: show only this tag` },
    `${name} `, element("span", { className: "soft" }, figure), ...(seen ? [element("span", { className: "seen" }, ` ${seen}`)] : []));

  function card(v) {
    const link = element("a", { className: "poster", href: v.at_s ? `${v.url}#t=${v.at_s}` : v.url });
    link.setAttribute("aria-label", v.at_s === null ? `open ${v.name}` : `open ${v.name} at its most salient moment`);
    if (v.poster) link.append(element("img", { src: v.poster, alt: "", loading: "lazy", decoding: "async" }));
    else link.append(element("span", { className: v.error ? "none bad" : "none soft" }, v.error ? v.error[0].replaceAll("_", " ") : "no picture"));
    if (v.duration) link.append(element("time", {}, v.duration));
    const item = element("li", { className: "card" }, link);
    if (v.curve && v.mass !== null) item.append(spark(v));
    item.append(element("h2", { className: "name" }, v.name));
    if (v.folder) item.append(element("p", { className: "folder" }, v.folder));
    if (v.error) item.append(element("p", { className: "why bad" }, v.error[1]));
    if (v.nothing) item.append(element("p", { className: "nothing" }, v.nothing));
    const tags = v.tags.slice(0, TAGS).map((tag) => element("li", {}, tag[3] === "guess" ? guess(tag) : choice(tag)));
    if (tags.length) item.append(element("ul", { className: "card-tags" }, ...tags));
    return item;
  }

  function drawMore() {
    const part = document.createDocumentFragment();
    for (const v of shown.slice(drawn, drawn + PAGE)) part.append(card(v));
    drawn = Math.min(drawn + PAGE, shown.length);
    cards.append(part);
    more.hidden = drawn >= shown.length;
  }

  function drawChips() {
    const names = state.tag && !common.includes(state.tag) ? [state.tag, ...common] : common;
    const items = names.map((name) => element("li", {}, element("button",
      { type: "button", className: "chip", "data-tag": name, "aria-pressed": String(state.tag === name) },
      `${name} `, element("span", { className: "soft" }, String(tally.get(name) || 0)))));
    if (failures) {
      items.unshift(element("li", {}, element("button",
        { type: "button", className: "chip bad", "data-failed": "", "aria-pressed": String(state.failed) }, `failed ${failures}`)));
    }
    const focused = document.activeElement && chips.contains(document.activeElement) ? document.activeElement.dataset.tag : null;
    chips.replaceChildren(...items);
    if (focused !== null) [...chips.querySelectorAll("button")].find((b) => b.dataset.tag === focused)?.focus();
  }

  function update() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean), key = keys[sort.value] || keys.name;
    shown = byName.filter((v) => (!state.failed || v.error) && (!state.tag || v.tags.some((t) => t[0] === state.tag && t[3] !== "guess"))
      && words.every((word) => v.text.includes(word)));
    shown.sort((a, b) => { const x = key(a), y = key(b); return x === y ? a.rank - b.rank : x < y ? -1 : 1; });
    drawn = 0;
    cards.replaceChildren();
    drawChips();
    drawMore();
    const all = videos.length.toLocaleString("en");
    count.textContent = shown.length === videos.length ? `All ${all} shown` : `${shown.length.toLocaleString("en")} of ${all}`;
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
    update();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-tag], button[data-failed]");
    if (!button) return;
    if ("failed" in button.dataset) state.failed = !state.failed;
    else state.tag = state.tag === button.dataset.tag ? null : button.dataset.tag;
    const fromCard = cards.contains(button);
    update();
    if (fromCard) scrollTo(0, 0);
  });
  find.addEventListener("input", update);
  sort.addEventListener("change", update);
  more.addEventListener("click", drawMore);
  new IntersectionObserver((entries) => { if (entries.some((e) => e.isIntersecting) && !more.hidden) drawMore(); }, { rootMargin: "800px" }).observe(more);
  addEventListener("hashchange", restore);
  restore();
})();
