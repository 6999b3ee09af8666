/* The videos of the page, which tags they show, and which videos fit a text. `data` is that of the page. */
const CERTAIN = 4, SCORE = 3, GUESS = 2, TEXT = 1; /* how well a video fits; the best come first */
function library(data) {
  const words = lookup(data);
  const nameOf = (tag) => data.tags[tag][0], withOver = (tag) => [tag, ...data.tags[tag][1]];
  const videos = data.rows.map((row, rank) => {
    const v = { rank };
    data.fields.forEach((field, i) => { v[field] = row[i]; });
    v.text = `${v.folder}/${v.name} ${v.nothing || ""} ${v.error ? v.error.join(" ") : ""}`.toLowerCase();
    v.shows = v.perhaps === null ? v.tags.map(([tag]) => tag) : [...v.tags.map(([tag]) => tag), v.perhaps];
    return v;
  });
  /* By tag, the videos with it or with something below it: rank, fit, rank, fit, ... */
  const carriers = data.tags.map(() => []);
  /* By name, how many videos have it, guesses not counted. */
  const tally = new Map(), sure = new Set();
  for (const v of videos) {
    const fit = { certain: CERTAIN, score: SCORE, guess: GUESS }[v.kind], seen = new Set(v.shows.flatMap(withOver));
    for (const tag of seen) carriers[tag].push(v.rank, fit);
    if (fit !== GUESS) for (const name of new Set([...seen].map(nameOf))) tally.set(name, (tally.get(name) || 0) + 1);
    if (fit === CERTAIN) for (const tag of v.shows) sure.add(nameOf(tag));
  }
  /* Names of certain tags, those of most videos first. */
  const common = [...sure].sort((a, b) => tally.get(b) - tally.get(a) || (a < b ? -1 : 1));

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
    return found.tags.size ? found : { tags: words.begun(text), instead: true };
  }

  /* How well each video fits a text without commas, and the tags that are meant. Words that are no tag together may be
     several tags, or parts of file names. */
  function fitsText(text) {
    const typed = text.toLowerCase().split(/\s+/).filter(Boolean), whole = tagsOf(text), tags = new Set(whole.tags);
    const fits = fitsOf(tags);
    const each = tags.size || typed.length === 1 ? [] : typed.map((word) => tagsOf(word).tags), parts = each.map(fitsOf);
    for (const part of each) for (const tag of part) tags.add(tag);
    for (const v of videos) {
      const ofWords = typed.map((word, i) => (parts.length && parts[i][v.rank]) || (v.text.includes(word) ? TEXT : 0));
      fits[v.rank] = Math.max(fits[v.rank], Math.min(...ofWords));
    }
    return { fits, tags, instead: whole.instead && whole.tags.size > 0 };
  }

  /* Commas separate alternatives. */
  function asked(text) {
    const parts = text.split(",").map((part) => part.trim()).filter(Boolean).map((part) => ({ part, ...fitsText(part) }));
    if (!parts.length) return { fits: null, tags: new Set(), parts };
    const fits = parts[0].fits.map((_, i) => Math.max(...parts.map((each) => each.fits[i])));
    return { fits, tags: new Set(parts.flatMap((each) => [...each.tags])), parts };
  }

  return { videos, common, tally, nameOf, withOver, fitsOf, tagsCalled, asked, alike: words.alike };
}
