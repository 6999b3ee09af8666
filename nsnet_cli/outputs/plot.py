"""`nsnet explain --png`: the saliency curves, and the recognised frames below them, each tied to its time."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsnet_cli.outputs.shown import headline, is_dim
from nsnet_cli.outputs.words import axis_ticks, clock, cost_words, duration_s, facts
from nsnet_cli.text import harmless
from nsnet_cli.types import VideoResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN = 12.0
DPI = 120
MOST_THUMBNAILS = 8
PAPER = "#faf9f6"
INK, SOFT, LINE, SALIENT, FRAME, VIDEO = "#1d1e20", "#5c5f66", "#e3e0d8", "#08735a", "#2f64b0", "#8e4585"


def plot_png(result: VideoResult, dpi: int = DPI) -> bytes:
    """The plot as PNG bytes, WIDTH_IN x dpi pixels wide. Needs `result.frames`; jpegs add thumbnails."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with (
        warnings.catch_warnings(),
        rc_context({"font.family": "DejaVu Sans", "text.parse_math": False, "axes.edgecolor": LINE}),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the plot shows a box instead
        thumbs = _thumbnails(result)
        height_in = 5.4 if thumbs else 3.6
        figure = Figure(figsize=(WIDTH_IN, height_in), facecolor=PAPER)
        FigureCanvasAgg(figure)
        top = 1 - 0.95 / height_in
        bottom = 2.35 / height_in if thumbs else 0.65 / height_in
        axes = figure.add_axes((0.055, bottom, 0.925, top - bottom), facecolor=PAPER)
        _curves(axes, result)
        _words(figure, result, height_in)
        if thumbs:
            _row_of_thumbnails(figure, axes, thumbs, height_in)
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=dpi, facecolor=figure.get_facecolor())
    return out.getvalue()


def _thumbnails(result: VideoResult) -> list[tuple[Any, Any]]:
    """(frame, picture) of the recognised frames in time order; the most salient ones if there are too many."""
    from PIL import Image

    pairs = [(f, j) for f, j in zip(result.frames, result.jpegs, strict=False) if f.chosen]
    pairs = sorted(pairs, key=lambda pair: -pair[0].saliency)[:MOST_THUMBNAILS]
    return [(f, Image.open(io.BytesIO(j)).convert("RGB")) for f, j in sorted(pairs, key=lambda pair: pair[0].pts_s)]


def _curves(axes: Axes, result: VideoResult) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter

    frames, end_s = result.frames, duration_s(result)
    times = [f.pts_s for f in frames]
    saliency = [f.saliency for f in frames]
    axes.fill_between(times, saliency, color=SALIENT, alpha=0.14, linewidth=0)
    both = all(f.fsm is not None and f.vgm is not None for f in frames)
    name = "saliency, both combined" if both else "saliency"
    axes.plot(times, saliency, color=SALIENT, linewidth=2.2, label=name, zorder=3)
    for name, color, label in (
        ("fsm", FRAME, "FSM, each frame alone"),
        ("vgm", VIDEO, "VGM, each frame within the video"),
    ):
        values = [getattr(f, name) for f in frames]
        if all(v is not None for v in values):
            axes.plot(times, values, color=color, linewidth=1.1, alpha=0.85, label=label)
    chosen = [f for f in frames if f.chosen]
    axes.plot([f.pts_s for f in chosen], [f.saliency for f in chosen], "o", color=SALIENT, markersize=8,
              markeredgecolor="white", label="recognised frame", zorder=4, clip_on=False)  # fmt: skip
    axes.plot(times, [0] * len(times), "|", color=SOFT, markersize=6, zorder=2, clip_on=False)
    axes.set_xlim(0, end_s)
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.5, 1])
    axes.xaxis.set_major_locator(FixedLocator(axis_ticks(end_s, 10)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda t, _: clock(t, 0 if t == int(t) else 1)))
    axes.tick_params(colors=SOFT, length=0, labelsize=9, pad=6)
    for text in axes.get_xticklabels():  # the lines to the thumbnails pass behind the times
        text.set_bbox({"facecolor": PAPER, "edgecolor": "none", "pad": 1.5})
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, frameon=False, fontsize=8.5, labelcolor=SOFT,
                borderaxespad=0.2, handlelength=1.4, columnspacing=1.6)  # fmt: skip


def _words(figure: Figure, result: VideoResult, height_in: float) -> None:
    count = 2 if is_dim(result) else 3  # 'nothing certain; perhaps a ...' is long
    tags = "     ".join(_short(words, 108 // count) for words in headline(result)[:count])
    line = "  ·  ".join([*facts(result), *([words] if (words := cost_words(result)) else [])])
    name = harmless(Path(result.path).name)
    figure.text(0.055, 1 - 0.18 / height_in, _short(name), va="top", fontsize=14, fontweight="bold", color=INK)
    color = SOFT if is_dim(result) else SALIENT
    figure.text(0.98, 1 - 0.2 / height_in, tags, va="top", ha="right", fontsize=10.5, color=color, fontweight="bold")
    figure.text(0.055, 1 - 0.46 / height_in, line, va="top", fontsize=8.5, color=SOFT)


def _short(name: str, most: int = 44) -> str:
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 + 1 :]}"


def _row_of_thumbnails(figure: Figure, axes: Axes, thumbs: list[tuple[Any, Any]], height_in: float) -> None:
    """Thumbnails below the time axis, each as near to its time as possible, with a line to it."""
    from matplotlib.patches import ConnectionPatch

    left, right, gap = 0.055, 0.98, 0.012
    room = (right - left - gap * (len(thumbs) - 1)) / len(thumbs)
    height = 1.35 / height_in
    widths = [min(room, 1.35 * image.width / image.height / WIDTH_IN) for _, image in thumbs]
    (x0, x1), span = axes.get_xlim(), right - left
    places = _spread([left + span * (f.pts_s - x0) / (x1 - x0) for f, _ in thumbs], widths, gap, left, right)
    for (frame, image), width, place in zip(thumbs, widths, places, strict=True):
        box = figure.add_axes((place, 0.42 / height_in, width, height))
        box.imshow(image, aspect="equal", interpolation="lanczos")
        box.set_anchor("N")
        box.set_xticks([])
        box.set_yticks([])
        for spine in box.spines.values():
            spine.set(color=SALIENT, linewidth=1.6)
        box.set_xlabel(f"{clock(frame.pts_s)}   {frame.saliency:.2f}", fontsize=8.5, color=INK, labelpad=4)
        tie = ConnectionPatch(xyA=(frame.pts_s, 0), coordsA=axes.transData, xyB=(0.5, 1), coordsB=box.transAxes,
                              color=SALIENT, linewidth=1.0, alpha=0.6, zorder=-1)  # fmt: skip
        figure.add_artist(tie)


def _spread(centres: list[float], widths: list[float], gap: float, left: float, right: float) -> list[float]:
    """Left edges of boxes near their (sorted) `centres`, at least `gap` apart, between `left` and `right`.

    Boxes that would overlap form a group, placed at the average of where its members want it.
    """
    groups: list[tuple[float, float, list[int]]] = []  # left edge, width, members
    for i, width in enumerate(widths):
        members, total = [i], width
        place = centres[i] - width / 2
        while True:
            place = min(max(place, left), right - total)
            if not groups or groups[-1][0] + groups[-1][1] + gap <= place + 1e-9:
                break
            members = groups.pop()[2] + members
            offsets = [sum(widths[j] + gap for j in members[:k]) + widths[m] / 2 for k, m in enumerate(members)]
            total = sum(widths[j] for j in members) + gap * (len(members) - 1)
            place = sum(centres[m] - offset for m, offset in zip(members, offsets, strict=True)) / len(members)
        groups.append((place, total, members))
    places = []
    for place, _, members in groups:
        for member in members:
            places.append(place)
            place += widths[member] + gap
    return places
