"""`nsnet adapt` from features to a folder: adapts, checks the calibration, writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nsnet_cli.adapting.adapt import OPTIONS, Adapted, adapt
from nsnet_cli.adapting.folder import write_adapted
from nsnet_cli.adapting.footage import OwnVideo
from nsnet_cli.adapting.kept import Kept
from nsnet_cli.adapting.promise import holds, promise
from nsnet_cli.calibrating.reliability import Promise
from nsnet_cli.nets.sampler import load_sampler
from nsnet_cli.nets.threads import one_thread
from nsnet_cli.presence import Judge
from nsnet_cli.progress import progress
from nsnet_cli.records import dataclass
from nsnet_cli.training.fit import FitOptions
from nsnet_cli.weights.checkpoint import Checkpoint

TRAININGS = 3
"""One on each half of the videos, and one on all."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was made, and whether the calibration was kept. `promises`: of certain tags, before and after."""

    made: Adapted
    calibrated: bool = False
    promises: tuple[Promise | None, Promise | None] = (None, None)


def adapt_checkpoint(
    videos: Sequence[OwnVideo],
    base: Checkpoint,
    kept: Kept,
    folder: Path,
    *,
    seed: int = 0,
    options: FitOptions = OPTIONS,
    command: str = "",
) -> Outcome:
    """Adapts the sampler of `base` to videos and writes `folder`, unless it is not better. Raises WeightsError."""
    sampler = load_sampler(base)
    with one_thread(), progress("adapting", TRAININGS * options.epochs, "epochs") as bar:
        made = adapt(videos, sampler, kept, seed=seed, options=options, on_epoch=lambda report: bar.advance())
        if made.sampler is None:
            return Outcome(made)
        promises: tuple[Promise | None, Promise | None] = (None, None)
        if kept.recogniser == (base.recogniser.network.name, base.recogniser.size_px):
            before, after = (promise(s, made.judged, Judge.of(base), base.frames) for s in (sampler, made.sampler))
            promises = before, after
    calibrated = base.calibration is not None and holds(*promises)
    calibration = base.calibration if calibrated else None
    write_adapted(folder, base, made, calibration, promises, seed=seed, epochs=options.epochs, command=command)
    return Outcome(made, calibrated, promises)
