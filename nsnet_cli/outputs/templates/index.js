(() => {
  const FIRST = 20, SECTION = 60, TOLD = 3, NEAR = "3000px", CHIPS = 18, TAGS = 5, LEAST_S = 0.1;
  const CERTAIN = 4, SCORE = 3, GUESS = 2, TEXT = 1; /* how well a video fits what was typed; the best come first */
  const $ = (id) => document.getElementById(id);
  const find = $("find"), sort = $("sort"), chips = $("chips"), count = $("count"), offers = $("offers"), cards = $("cards"), more = $("more");
  const data = JSON.parse($("data").textContent), words = lookup(data);
  const nameOf = (tag) => data.tags[tag][0], withOver = (tag) => [tag, ...data.tags[tag][1]];

  /* ---- what is there ---- */

  const videos = data.rows.map((row, rank) => {
    const v = { rank };
    data.fields.forEach((field, i) => { v[field] = row[i]; });
    v.text = `${v.folder}/${v.name} ${v.nothing || ""} ${v.error ? v.error.join(" ") : ""}`.toLowerCase();
    v.shows = v.perhaps === null ? v.tags.map(([tag]) => tag) : [...v.tags.map(([tag]) => tag), v.perhaps];
    return v;
  });
  const carriers = data.tags.map(() => []); /* by tag, the videos with it or with something below it: place, fit, place, fit, ... */
  const tally = new Map(), sure = new Set(); /* by name, how many videos have it, guesses not counted; names of certain tags */
  for (const v of videos) {
    const fit = { certain: CERTAIN, score: SCORE, guess: GUESS }[v.kind], seen = new Set(v.shows.flatMap(withOver));
    for (const tag of seen) carriers[tag].push(v.rank, fit);
    if (fit !== GUESS) for (const name of new Set([...seen].map(nameOf))) tally.set(name, (tally.get(name) || 0) + 1);
    if (fit === CERTAIN) for (const tag of v.shows) sure.add(nameOf(tag));
  }
  const common = [...sure].sort((a, b) => tally.get(b) - tally.get(a) || (a < b ? -1 : 1)).slice(0, CHIPS);
  const failures = videos.filter((v) => v.error).length;

  /* ---- which fit ---- */

  function fitsOf(tags) {
    const fits = new Uint8Array(videos.length);
    for (const tag of tags) {
      const list = carriers[tag];
      for (let i = 0; i < list.length; i += 2) fits[list[i]] = Math.max(fits[list[i]], list[i + 1]);
    }
    return fits;
  }
  const tagsCalled = (name) => [...data.tags.keys()].filter((tag) => nameOf(tag) === name);

  /* The tags that a text means; while it is being typed, those that begin so. */
  function tagsOf(text) {
    const found = words.meant(text);
    return found.tags.size ? found : { tags: words.begun(text), narrower: false };
  }

  /* How well each video fits a text without commas, and the tags that are meant. Words that are no tag together may be
     several tags, or parts of file names. */
  function fitsText(text) {
    const typed = text.toLowerCase().split(/\s+/).filter(Boolean), whole = tagsOf(text), tags = new Set(whole.tags);
    const fits = fitsOf(tags);
    const each = tags.size || typed.length === 1 ? [] : typed.map((word) => tagsOf(word).tags);
    const parts = each.map(fitsOf);
    for (const part of each) for (const tag of part) tags.add(tag);
    for (const v of videos) {
      if (typed.every((word) => v.text.includes(word))) fits[v.rank] = Math.max(fits[v.rank], TEXT);
      else if (parts.length) fits[v.rank] = Math.min(...typed.map((word, i) => parts[i][v.rank] || (v.text.includes(word) ? TEXT : 0)));
    }
    return { fits, tags, narrower: whole.narrower };
  }

  /* Commas separate alternatives. */
  function asked() {
    const parts = find.value.split(",").map((part) => part.trim()).filter(Boolean).map((part) => ({ part, ...fitsText(part) }));
    if (!parts.length) return { fits: null, tags: new Set(), parts };
    const fits = parts[0].fits.map((_, i) => Math.max(...parts.map((each) => each.fits[i])));
    return { fits, tags: new Set(parts.flatMap((each) => [...each.tags])), parts };
  }

  /* ---- cards ---- */

  const state = { tag: null, failed: false };
  let shown = [], drawn = 0, wanted = new Set();
  const isWanted = ([tag]) => withOver(tag).some((each) => wanted.has(each));

  function element(name, props = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(props)) {
      if (key.startsWith("aria") || key.startsWith("data")) node.setAttribute(key, value); else node[key] = value;
    }
    node.append(...children);
    return node;
  }
  const bdi = (text) => element("bdi", {}, text); /* a right-to-left name leaves what stands beside it in place */
  function drawing(name, attributes, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }
  function clock(seconds) {
    const whole = Math.round(seconds), two = (n) => String(n).padStart(2, "0"), hours = Math.floor(whole / 3600);
    const minutes = Math.floor(whole / 60) % 60;
    return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  }

  function spark(v) {
    const step = 100 / v.curve.length, high = (c) => (97 - 0.92 * c).toFixed(1);
    const line = v.curve.map((c, i) => `L${(step * (i + 0.5)).toFixed(2)} ${high(c)}`).join(" ");
    const inner = drawing("svg", { width: "100%", height: "82%", viewBox: "0 0 100 100", preserveAspectRatio: "none" },
      drawing("path", { d: `M0 100 L0 ${high(v.curve[0])} ${line} L100 ${high(v.curve[v.curve.length - 1])} L100 100` }));
    const marks = v.dots.map((x) => drawing("line", { x1: `${x}%`, x2: `${x}%`, y1: "86%", y2: "100%" }));
    return drawing("svg", { class: "spark", role: "img", "aria-label": `saliency over time, mean ${v.mass.toFixed(2)}` }, inner, ...marks);
  }

  const playAt = (v, start, end) => `${v.url}#t=${start},${Math.max(end, start + LEAST_S)}`;

  /* The whole video from left to right, and when a tag is seen. Each stretch is a link that plays it. */
  function lane(v, [tag, , , ends]) {
    const strip = element("div", { className: "lane" });
    for (let i = 0; i < ends.length; i += 2) {
      const [start, end] = [ends[i], ends[i + 1]], when = clock(start) === clock(end) ? clock(start) : `${clock(start)}-${clock(end)}`;
      const span = element("a", { className: "span", href: playAt(v, start, end), title: `${nameOf(tag)} ${when}`,
        "aria-label": `play ${v.name}, ${nameOf(tag)}, ${when}` });
      span.style.left = `${(100 * Math.min(start / v.end_s, 1)).toFixed(2)}%`;
      span.style.width = `${(100 * Math.min((end - start) / v.end_s, 1)).toFixed(2)}%`;
      strip.append(span);
    }
    return strip;
  }

  function row(v, tag) {
    const [number, figure, seen, ends] = tag, name = nameOf(number), className = isWanted(tag) ? "wanted" : "";
    if (v.kind === "guess") return element("li", { className: `guess ${className}` }, bdi(name), `? ${figure}`);
    const label = `${name}, ${v.kind === "score" ? "score " : ""}${figure}${seen && `, seen ${seen}`}: show only this tag`;
    const button = element("button", { type: "button", "data-tag": name, "aria-label": label },
      bdi(name), " ", element("span", { className: "soft figure" }, figure), ...(seen ? [" ", element("span", { className: "seen" }, seen)] : []));
    return element("li", { className }, button, ...(ends.length ? [lane(v, tag)] : []));
  }

  /* The poster plays what was looked for, else the most salient moment. */
  function poster(v, tags) {
    const first = tags.find((tag) => isWanted(tag) && tag[3].length), name = first && nameOf(first[0]);
    const href = first ? playAt(v, first[3][0], first[3][1]) : v.at_s ? `${v.url}#t=${v.at_s}` : v.url;
    const where = first ? ` where ${name} is seen` : v.at_s === null ? "" : " from its most salient moment";
    const link = element("a", { className: "poster", href, "aria-label": `play ${v.name}${where}` });
    if (v.poster) link.append(element("img", { src: v.poster, alt: "", loading: "lazy", decoding: "async" }));
    else link.append(element("span", { className: v.error ? "none bad" : "none soft" }, v.error ? v.error[0].replaceAll("_", " ") : "no picture"));
    if (v.duration) link.append(element("time", {}, v.duration));
    return link;
  }

  function card(v) {
    const tags = [...v.tags].sort((a, b) => isWanted(b) - isWanted(a)).slice(0, TAGS);
    const item = element("li", { className: "card" }, poster(v, tags));
    if (v.curve && v.mass !== null) item.append(spark(v));
    item.append(element("h2", { className: "name" }, bdi(v.name)));
    if (v.folder) item.append(element("p", { className: "folder" }, bdi(v.folder)));
    if (v.error) item.append(element("p", { className: "why bad" }, v.error[1]));
    if (v.nothing) item.append(element("p", { className: "nothing" }, v.nothing));
    if (tags.length) item.append(element("ul", { className: "card-tags" }, ...tags.map((tag) => row(v, tag))));
    return item;
  }

  /* ---- the page ---- */

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
  }
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

  function drawChips() {
    const names = state.tag && !common.includes(state.tag) ? [state.tag, ...common] : common;
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
    for (const { part, narrower, tags } of parts) {
      if (narrower) said.push(`“${part}” is no tag of its own: these are videos with ${listed(tags)}. `);
      if (shown.length || tags.size) continue;
      const names = words.alike(part), offer = (name) => element("button", { type: "button", className: "offer", "data-offer": name }, name);
      said.push(`No tag “${part}”. `, ...(names.length ? ["Did you mean "] : []));
      names.forEach((name, i) => said.push(i ? " or " : "", element("span", { className: "figure" }, offer(name), i === names.length - 1 ? "? " : "")));
    }
    offers.replaceChildren(...said);
  }

  const last = (value, sign) => (value === null ? Infinity : sign * value); /* videos without a number come last */
  const keys = { name: (v) => v.rank, score: (v) => last(v.best, -1), mass: (v) => last(v.mass, -1), unsure: (v) => last(v.best, 1) };

  function update() {
    const { fits, tags, parts } = asked(), key = keys[sort.value] || keys.name, tagged = state.tag && fitsOf(tagsCalled(state.tag));
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
  new IntersectionObserver((entries) => { if (entries.some((e) => e.isIntersecting) && !more.hidden) drawMore(); }, { rootMargin: "800px" }).observe(more);
  addEventListener("hashchange", restore);
  restore();
})();
