"""`nsnet explain --html`: one page per video, which links the video and contains everything else."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsnet_cli.outputs.save import save
from nsnet_cli.outputs.shown import certain, figure, judged, mark, nothing_certain, percent, when
from nsnet_cli.outputs.words import axis_ticks, clock, duration_s, facts, is_scored, plural, relative_url
from nsnet_cli.text import harmless
from nsnet_cli.types import FrameScore, VideoResult

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """Jinja with everything escaped except our own style sheets and scripts."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(TEMPLATES, encoding="utf-8")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return made


def render(view: str, /, images: str, scripts: Sequence[str] = (), **values: Any) -> str:
    """Template `view`.html with base.css + `view`.css and `view`.js inside, the latter after other scripts.

    Its content security policy allows only these, images from `images` (img-src), and media from the page's own place.
    """
    from markupsafe import Markup

    css = (TEMPLATES / "base.css").read_text("utf-8") + (TEMPLATES / f"{view}.css").read_text("utf-8")
    js = "".join((TEMPLATES / f"{name}.js").read_text("utf-8") for name in (*scripts, view))
    csp = (
        f"default-src 'none'; img-src {images}; media-src 'self' file:; style-src '{_hash(css)}'; "
        f"script-src '{_hash(js)}'; base-uri 'none'; form-action 'none'"
    )
    template = environment().get_template(f"{view}.html")
    return template.render(css=Markup(css), js=Markup(js), csp=csp, **values)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def write_page(result: VideoResult, path: Path) -> None:
    """Writes the page of one video, with a relative link to the video."""
    save(path, to_html(result, video_url=relative_url(result.path, path.parent)).encode("utf-8"))


def to_html(result: VideoResult, *, video_url: str | None) -> str:
    """The page as text. `video_url`: the percent-encoded link to the video; None leaves the player out."""
    end_s = duration_s(result)
    frames = [_frame(result, i, end_s) for i in range(len(result.frames))]
    data = {
        "end_s": end_s,
        "frames": [{"t": f["pts_s"], "s": f["saliency"], "chosen": f["chosen"], "words": f["words"]} for f in frames],
    }
    return render(
        "page",
        images="data:",
        name=harmless(Path(result.path).name),
        facts=facts(result),
        error=result.error,
        video_url=video_url,
        end_s=end_s,
        frames=frames,
        lanes=_lanes(result, end_s),
        ticks=_ticks(end_s),
        spans=_span_bars(result, end_s),
        nothing=nothing_certain(result),
        tags=_tags(result),
        cost=_cost(result),
        groups=_groups(frames),
        has_images=bool(result.jpegs),
        footer=_footer(result),
        data=data,
    )


def _frame(result: VideoResult, index: int, end_s: float) -> dict[str, Any]:
    """Everything that the template shows about one preview frame."""
    frame = result.frames[index]
    image = result.jpegs[index] if index < len(result.jpegs) else b""
    width, height = _size(image)
    kind = "recognised" if frame.chosen else "suppressed"
    words = f"{clock(frame.pts_s)}, saliency {frame.saliency:.2f}, {kind}"
    if frame.tag:
        words += f", looks like {harmless(frame.tag)}"
    return {
        "index": index,
        "pts_s": frame.pts_s,
        "clock": clock(frame.pts_s),
        "saliency": frame.saliency,
        "score": f"{frame.saliency:.2f}",
        "percent": _percent(frame.saliency),
        "x": _percent(frame.pts_s / end_s),
        "y": f"{_height(frame.saliency):.2f}",
        "chosen": frame.chosen,
        "tag": harmless(frame.tag or ""),
        "words": words,
        "says": _says(result, frame),
        "base64": base64.b64encode(image).decode(),
        "width": width,
        "height": height,
        **{name: _number(getattr(frame, name)) for name in ("fsm", "vgm", "confidence")},
    }


def _says(result: VideoResult, frame: FrameScore) -> str:
    """'evidence for orange 0.80, lemon 0.03': at most three tags that this frame is evidence for, best first."""
    found = [(e.score, t.name) for t in result.tags for e in t.evidence if abs(e.pts_s - frame.pts_s) < 1e-6]
    shown = [f"{harmless(name)} {score:.2f}" for score, name in sorted(found, reverse=True)[:3] if score >= 0.01]
    return "evidence for " + ", ".join(shown) if shown else ""


def _lanes(result: VideoResult, end_s: float) -> list[dict[str, str]]:
    lanes = [("saliency", "Saliency", "both combined"), ("fsm", "FSM", "each frame alone"),
             ("vgm", "VGM", "each frame within the video")]  # fmt: skip
    drawn = []
    for name, title, note in lanes:
        values = [getattr(f, name) for f in result.frames]
        if is_scored(result) and all(v is not None for v in values):
            line = curve_path([f.pts_s for f in result.frames], values, end_s)
            area = f"{line} V100 H0 Z"
            drawn.append({"name": name, "title": title, "note": note, "line": line, "area": area})
    if len(drawn) == 1 and result.sampling is not None:
        drawn[0]["note"] = f"policy {harmless(result.sampling.policy)}"
    return drawn


def curve_path(times: list[float], values: list[float], end_s: float) -> str:
    """An SVG path in a box of 1000 x 100: straight between frames, level at both ends."""
    points = [(1000 * t / end_s, _height(v)) for t, v in zip(times, values, strict=True)]
    return f"M0 {points[0][1]:.1f} " + " ".join(f"L{x:.1f} {y:.1f}" for x, y in points) + " H1000"


def _height(value: float) -> float:
    """1 -> 5, 0 -> 97 on a lane of 100. The margin keeps lines from being cut at the edge."""
    return 97 - 92 * min(max(value, 0.0), 1.0)


def _ticks(end_s: float) -> list[dict[str, Any]]:
    ticks = []
    for t in axis_ticks(end_s, 7):
        x = 100 * t / end_s
        anchor = "start" if x < 3 else "end" if x > 95 else "middle"
        ticks.append({"x": _percent(t / end_s), "anchor": anchor, "text": clock(t, 0 if t == int(t) else 1)})
    return ticks


def _span_bars(result: VideoResult, end_s: float) -> list[dict[str, Any]]:
    """One bar per certain tag: when it is seen, on the time axis."""
    return [
        {
            "name": harmless(tag.name),
            "figure": figure(tag, result),
            "parts": [
                {"x": _percent(s.start_s / end_s), "width": _percent((s.end_s - s.start_s) / end_s)} for s in tag.spans
            ],
        }
        for tag in certain(result)
    ]


def _tags(result: VideoResult) -> list[dict[str, Any]]:
    return [
        {
            "name": harmless(tag.name) + mark(tag, result),
            "guess": bool(mark(tag, result)),
            "figure": figure(tag, result),
            "is_score": not judged(result),
            "percent": _percent(tag.score if not judged(result) or tag.probability is None else tag.probability),
            "parents": [harmless(name) for name in tag.parents],
            "spans": [{"start_s": s.start_s, "words": when(s), "figure": percent(s.probability)} for s in tag.spans],
            "evidence": [
                {"pts_s": e.pts_s, "clock": clock(e.pts_s), "score": f"{e.score:.2f}"}
                for e in sorted(tag.evidence, key=lambda e: e.pts_s)
            ],
        }
        for tag in result.tags
    ]


def _cost(result: VideoResult) -> dict[str, Any] | None:
    cost, timings = result.cost, result.timings
    if cost is None:
        return None
    ratio = cost.dense_gflops / cost.gflops if cost.gflops > 0 else 0.0
    headline = f"{ratio:.1f} times less than dense" if ratio >= 1.05 else f"{cost.gflops:.1f} GFLOPs"
    most = max(cost.gflops, cost.dense_gflops) or 1.0
    bars = [("this run", cost.gflops, "ours"), ("dense: every preview frame", cost.dense_gflops, "dense")]
    rows = [("frames decoded", f"{cost.frames_decoded:,}")]
    if cost.frames_lost:
        rows.append(("frames lost", f"{cost.frames_lost:,}"))
    if timings is not None:
        stages = (("decode", timings.decode_s), ("preview", timings.preview_s), ("sampler", timings.sampler_s),
                  ("recognise", timings.recognise_s), ("total", timings.total_s))  # fmt: skip
        rows += [(name, f"{seconds:.2f} s") for name, seconds in stages]
    return {
        "headline": headline,
        "bars": [
            {"name": name, "value": f"{value:.1f} GFLOPs", "percent": _percent(value / most), "kind": kind}
            for name, value, kind in bars
            if value > 0
        ],
        "rows": rows,
    }


def _groups(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept, rest = [f for f in frames if f["chosen"]], [f for f in frames if not f["chosen"]]
    return [
        {
            "id": "kept",
            "title": f"Kept: {plural(len(kept), 'frame')}",
            "note": "The recogniser saw these frames, and the tags come from them.",
            "frames": kept,
        },
        {
            "id": "rest",
            "title": f"Suppressed: {plural(len(rest), 'frame')}",
            "note": "Previewed, then left out: less salient (the bar), or beyond the budget.",
            "frames": rest,
        },
    ]


def _footer(result: VideoResult) -> list[str]:
    pieces = []
    if result.sampling is not None:
        pieces += [f"policy {result.sampling.policy}", f"plan {result.sampling.plan}"]
        if result.sampling.stopped:
            pieces.append(result.sampling.stopped)
    if result.model is not None:
        pieces.append(f"checkpoint {result.model.checkpoint} ({result.model.hash[:12]})")
    return [harmless(piece) for piece in [*pieces, result.path]]


def _size(jpeg: bytes) -> tuple[int, int]:
    """Width and height from a JPEG's header; 16:9 if there is no image."""
    if not jpeg:
        return 320, 180
    from PIL import Image

    with Image.open(io.BytesIO(jpeg)) as image:
        return image.size


def _percent(share: float) -> str:
    return f"{100 * min(max(share, 0.0), 1.0):.2f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
