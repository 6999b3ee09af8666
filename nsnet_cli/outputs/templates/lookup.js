/* Which tags words mean, by the rules of `nsnet find` (nsnet_cli/words.py). `data` is that of the page.
   meant(words): the tags, by number. `instead`: words are no name of a tag, so people are told what was taken for them.
   begun(words): tags while they are being typed.
   alike(words): names that have these words, or are spelled alike, the best first. */
function lookup(data) {
  const OFFERED = 3, LONGEST = 200, NARROWER = 3;
  const tables = data.words.map((table) => new Map(Object.entries(table)));
  const plurals = new Map(Object.entries(data.plurals)), instead = new Set(data.instead), own = new Set(data.own);

  function normal(text) {
    const plain = text.slice(0, LONGEST).toLowerCase().replaceAll("ß", "ss").replaceAll("ς", "σ");
    return (plain.replace(/['\u2019]/g, "").match(/[\p{L}\p{N}]+/gu) || []).join(" ");
  }

  function forms(words) {
    const cut = words.lastIndexOf(" ") + 1, before = words.slice(0, cut), last = words.slice(cut);
    const singular = [...(plurals.get(last) || [])];
    for (const [end, one] of data.endings) {
      if (last.endsWith(end) && last.length > 3) singular.push(last.slice(0, last.length - end.length) + one);
    }
    return [words, ...singular.filter(Boolean).map((one) => before + one)];
  }

  /* All tags that have a name for which `fits(its words, the tag)` is true. */
  function named(table, fits) {
    const found = new Set();
    for (const [name, tags] of table) for (const tag of tags) if (fits(name.split(" "), tag)) found.add(tag);
    return found;
  }
  const hasAll = (name, form) => form.every((word) => name.includes(word));

  function meant(text) {
    const words = normal(text), tried = forms(words);
    if (!words) return { tags: new Set(), instead: false };
    for (const [place, table] of tables.entries()) {
      const form = tried.find((each) => table.has(each));
      if (form !== undefined) return { tags: new Set(table.get(form)), instead: place === NARROWER || instead.has(form) };
    }
    /* A police van is a van, and not police. Of own tags, any word will do. */
    const isKind = (name, form) => name.length > form.length && form.every((word, i) => word === name[name.length - form.length + i]);
    const split = tried.map((form) => form.split(" "));
    const fits = (name, tag) => split.some((form) => hasAll(name, form) && (isKind(name, form) || own.has(tag)));
    return { tags: new Set([...named(tables[0], fits), ...named(tables[1], fits)]), instead: true };
  }

  function begun(text) {
    const words = normal(text).split(" ");
    const fits = (name) => words.every((word) => name.some((part) => part.startsWith(word)));
    for (const table of words[0] ? tables : []) {
      const found = named(table, fits);
      if (found.size) return found;
    }
    return new Set();
  }

  function alike(text) {
    const words = normal(text), most = words.length < 6 ? 1 : 2, near = new Map(), within = new Set();
    for (const form of words ? forms(words).map((each) => each.split(" ")) : []) {
      for (const table of tables.slice(0, 2)) for (const name of table.keys()) if (hasAll(name.split(" "), form)) within.add(name);
    }
    for (const table of words ? tables : []) {
      for (const name of table.keys()) {
        if (Math.abs(name.length - words.length) > most) continue;
        const away = distance(words, name, most);
        if (away <= most) near.set(name, away);
      }
    }
    const order = ([a, x], [b, y]) => x - y || a.length - b.length || (a < b ? -1 : 1);
    const names = [...[...within].sort((a, b) => a.length - b.length), ...[...near].sort(order).map(([name]) => name)];
    return names.slice(0, OFFERED);
  }

  return { meant, begun, alike };
}

/* Letters to add, drop, change or swap to make one word the other. Above `most` it is only known to be above. */
function distance(one, other, most) {
  let older = [], before = [], row = Array.from({ length: other.length + 1 }, (_, j) => j);
  for (let i = 1; i <= one.length; i++) {
    [older, before, row] = [before, row, [i]];
    for (let j = 1; j <= other.length; j++) {
      let cost = Math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (one[i - 1] !== other[j - 1]));
      if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]) cost = Math.min(cost, older[j - 2] + 1);
      row.push(cost);
    }
    if (Math.min(...row) > most) return most + 1;
  }
  return row[other.length];
}
