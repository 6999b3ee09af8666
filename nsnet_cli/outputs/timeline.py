"""The saliency timeline as text that fits a terminal. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from nsnet_cli.outputs.shown import certain, figure, judged, mark, nothing_certain, spans_in
from nsnet_cli.outputs.words import axis_ticks, clock, columns, cost_words, duration_s, facts, is_scored
from nsnet_cli.text import harmless
from nsnet_cli.types import Tag, VideoResult

MARGIN = 11
"""Columns left of the chart, for the row's name and the scale."""
CHART_ROWS = 6
MIN_WIDTH = 40
BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII_AREA = " .:#"
ASCII_LINE = " .:-=+*#%@"

BOLD, DIM, SALIENT, REST, FRAME, VIDEO, BAD = "1", "2", "1;32", "36", "94", "35", "1;31"


class Pen:
    """Decides on colour and Unicode. Everything else writes both, and the pen removes what is not wanted."""

    def __init__(self, unicode: bool, color: bool) -> None:
        self.unicode, self.color = unicode, color

    def paint(self, text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.color and text.strip() else text

    def runs(self, cells: Sequence[tuple[str, str]]) -> str:
        """Joins (character, colour) cells, with one escape sequence per run of equal colours."""
        out, start = "", 0
        for i in range(1, len(cells) + 1):
            if i == len(cells) or cells[i][1] != cells[start][1]:
                out += self.paint("".join(c for c, _ in cells[start:i]), cells[start][1])
                start = i
        return out

    def level(self, value: float, scale: str) -> str:
        return scale[min(max(round(value * (len(scale) - 1)), 0), len(scale) - 1)]

    def done(self, lines: list[str]) -> str:
        text = "\n".join(line.rstrip() for line in lines) + "\n"
        if self.unicode:
            return text
        for fancy, plain in (("×", "x"), ("·", "-"), ("…", "~")):
            text = text.replace(fancy, plain)
        return text.encode("ascii", "replace").decode()


def timeline(result: VideoResult, width: int = 80, *, unicode: bool = True, color: bool = False) -> str:
    """The whole view, `width` columns wide: head, saliency, chosen frames, spans, FSM, VGM, tags, cost."""
    width, pen = max(width, MIN_WIDTH), Pen(unicode, color)
    lines = head(result, width, pen)
    if result.error is not None:
        return pen.done([*lines, pen.paint(result.error.kind, BAD) + ": " + harmless(result.error.message)])
    if result.frames:
        lines += ["", *chart(result, width - MARGIN - 1, pen)]
    lines += ["", *tag_lines(result, width, pen)]
    lines += ["", *cost_lines(result, width, pen)]
    return pen.done(lines)


def head(result: VideoResult, width: int, pen: Pen) -> list[str]:
    name = harmless(result.path)
    if cell_len(name) > width:  # the end of a path says more than its start
        while cell_len(name) > width - 1:
            name = name[1:]
        name = "…" + name
    return [pen.paint(name, BOLD), *(pen.paint(line, DIM) for line in wrap(facts(result), " · ", width))]


def chart(result: VideoResult, count: int, pen: Pen) -> list[str]:
    """Combined saliency in CHART_ROWS rows; chosen frames, certain tags, FSM and VGM in one row each; the time axis."""
    frames, end_s = result.frames, duration_s(result)
    times = [f.pts_s for f in frames]
    chosen = {min(int(f.pts_s / end_s * count), count - 1) for f in frames if f.chosen}
    near = chosen | {c + d for c in chosen for d in (-1, 1)} if count > 3 * len(times) else chosen
    if is_scored(result):
        lines = _area(result, count, near, pen)
    else:
        lines = [pen.paint("this policy chooses frames without scoring them", DIM)]
    mark = "▲" if pen.unicode else "^"
    lines.append(label("chosen", "", pen) + pen.runs([(mark if c in chosen else " ", SALIENT) for c in range(count)]))
    lines += [
        label(tag.name, "", pen) + pen.paint(span_bar(tag, end_s, count, pen), SALIENT) for tag in certain(result)
    ]
    for name, code in (("fsm", FRAME), ("vgm", VIDEO)):
        scores = [getattr(f, name) for f in frames]
        if all(s is not None for s in scores):
            line = columns(times, scores, end_s, count)
            scale = BLOCKS[:-1] if pen.unicode else ASCII_LINE  # not full blocks: they would touch the row above
            lines.append(label(name.upper(), "", pen) + pen.paint("".join(pen.level(v, scale) for v in line), code))
    return lines + axis(end_s, count, pen)


def _area(result: VideoResult, count: int, near: set[int], pen: Pen) -> list[str]:
    """Combined saliency, CHART_ROWS high. The columns of `near` have the colour of the chosen frames."""
    values = columns([f.pts_s for f in result.frames], [f.saliency for f in result.frames], duration_s(result), count)
    scale = BLOCKS if pen.unicode else ASCII_AREA
    lines = []
    for row in range(CHART_ROWS - 1, -1, -1):
        name = "saliency" if row == CHART_ROWS - 1 else ""
        ends = {CHART_ROWS - 1: "1", 0: "0"}.get(row, "")
        cells = [(pen.level(v * CHART_ROWS - row, scale), SALIENT if c in near else REST) for c, v in enumerate(values)]
        lines.append(label(name, ends, pen) + pen.runs(cells))
    return lines


def span_bar(tag: Tag, end_s: float, count: int, pen: Pen) -> str:
    """When a tag is seen, on `count` columns over [0, end_s]. No span is too short to be drawn."""
    bar = [" "] * count
    for span in tag.spans:
        first = min(int(span.start_s / end_s * count), count - 1)
        last = max(math.ceil(span.end_s / end_s * count), first + 1)
        bar[first:last] = ("━" if pen.unicode else "=") * (min(last, count) - first)
    return "".join(bar)


def label(name: str, scale: str, pen: Pen) -> str:
    bar = "│" if pen.unicode else "|"
    name = harmless(name)
    space = MARGIN - 2 if not scale else MARGIN - 3
    short = name if cell_len(name) <= space else set_cell_size(name, space - 1) + "…"
    return set_cell_size(short, MARGIN - 1 - len(scale)) + scale + pen.paint(bar, DIM)


def axis(end_s: float, count: int, pen: Pen) -> list[str]:
    """The line with its ticks, and the times below them. The last time is never cut."""
    ruler = [("─" if pen.unicode else "-")] * count
    numbers = [" "] * (count + 1)
    free = 0
    for tick in axis_ticks(end_s, max(count // 12, 2)):
        column = min(int(tick / end_s * count), count - 1)
        text = clock(tick, 1 if tick != int(tick) else 0)
        start = max(min(column - len(text) // 2, count - len(text) + 1), 0)
        ruler[column] = "┬" if pen.unicode else "+"
        if start >= free:
            numbers[start : start + len(text)] = text
            free = start + len(text) + 1
    corner = "└" if pen.unicode else "+"
    return [" " * (MARGIN - 1) + pen.paint(corner + "".join(ruler), DIM), " " * MARGIN + "".join(numbers)]


def tag_lines(result: VideoResult, width: int, pen: Pen) -> list[str]:
    """One row per tag: bar, probability or score, name, spans, and the frames that are its evidence."""
    words = nothing_certain(result)
    lines = [words] if words else []
    if not result.tags:
        return lines or ["no tag reached the threshold"]
    names = [harmless(tag.name) for tag in result.tags]
    marks = [mark(tag, result) for tag in result.tags]
    widest = max(cell_len(name + after) for name, after in zip(names, marks, strict=True))
    longest = min(widest, max(width - 36, 12))
    head = "seen at (score there)" if width >= 17 + longest + 21 else "seen at"
    lines.append(pen.paint("tags" + " " * (13 + longest) + head, DIM))
    for name, after, tag in zip(names, marks, result.tags, strict=True):
        sure = tag.score if not judged(result) or tag.probability is None else tag.probability
        bar = "".join(pen.level(sure * 8 - i, " ╸━" if pen.unicode else " -=") for i in range(8))
        cut = set_cell_size(name, min(cell_len(name), longest - len(after))) + after
        named = f"{figure(tag, result):>4}  {set_cell_size(cut, longest)}"
        dim = after and DIM
        start = f"{pen.paint(bar, dim or SALIENT)} {pen.paint(named, dim) if dim else named}  "
        lines.append(start + seen_words(tag, width - 17 - longest))
    return lines


def seen_words(tag: Tag, width: int) -> str:
    """The tag's spans, then the strongest evidence, each in order of time: as many as fit."""
    spans = spans_in(tag, width)
    evidence: list[tuple[float, str]] = []
    left = width - len(spans) - 2 if spans else width
    for item in tag.evidence:
        piece = f"{clock(item.pts_s)} ({item.score:.2f})"
        if sum(len(p) + 2 for _, p in evidence) + len(piece) > left:
            break
        evidence.append((item.pts_s, piece))
    return "  ".join([*([spans] if spans else []), *(piece for _, piece in sorted(evidence))])


def cost_lines(result: VideoResult, width: int, pen: Pen) -> list[str]:
    pieces = []
    words = cost_words(result)
    if words is not None:
        pieces += wrap(words.split(" "), " ", width - 8)
    if result.timings is not None:
        t = result.timings
        stages = [f"decode {t.decode_s:.2f}", f"preview {t.preview_s:.2f}", f"sampler {t.sampler_s:.2f}",
                  f"recognise {t.recognise_s:.2f}"]  # fmt: skip
        pieces += wrap([f"{t.total_s:.2f} s", *stages], " · ", width - 8)
    return [(pen.paint("cost    ", DIM) if i == 0 else " " * 8) + piece for i, piece in enumerate(pieces)]


def wrap(pieces: Sequence[str], joint: str, width: int) -> list[str]:
    """Joins `pieces` with `joint` into lines of at most `width` columns. Breaks only between pieces."""
    lines: list[str] = []
    for piece in pieces:
        if lines and cell_len(lines[-1]) + cell_len(joint) + cell_len(piece) <= width:
            lines[-1] += joint + piece
        else:
            lines.append(piece)
    return lines
