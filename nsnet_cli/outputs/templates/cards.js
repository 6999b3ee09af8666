/* Cards: poster, saliency, name, tags, and when each is seen. `isWanted(tag)`: whether it was looked for. */
function cardsOf({ nameOf }, isWanted) {
  const TAGS = 5, LEAST_S = 0.1;

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

  return card;
}

/* A node of the page with properties, and one of a drawing with attributes. */
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
