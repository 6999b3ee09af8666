"""The checkpoint folder of an adapted sampler: like one of `nsnet train`, so that deleting it undoes everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nsnet_cli.adapting.adapt import Adapted, Pair
from nsnet_cli.calibrating.reliability import Promise
from nsnet_cli.calibration import Calibration
from nsnet_cli.errors import OutputError, UsageError
from nsnet_cli.outputs.owner import owner
from nsnet_cli.outputs.save import check_folder
from nsnet_cli.weights.calibrated import calibrated_config, check_calibratable
from nsnet_cli.weights.checkpoint import CARD_FILE, CONFIG_FILE, MODEL_FILE, Checkpoint, write_checkpoint

CARD = """---
license: {license}
library_name: nsnet
pipeline_tag: video-classification
tags:
- nsnet
- video-tagging
- frame-sampling
---

# {name}

The sampler of `{base}`, adapted to {videos} videos without labels (`nsnet adapt`). {preview} previews, {recogniser}
recognises; the two networks are not in this folder, `nsnet` provides them. To undo it, delete this folder.

```
nsnet tag --checkpoint {name}/ VIDEO
```

## Metrics

ROC-AUC of the saliency over frames with known answers. "Footage" is objects in the scenery of one half of the videos,
for a sampler that learned the other half; "kept" is objects in other footage, for the sampler in this folder.

| measure | before | after |
| --- | --- | --- |
{rows}

## Probabilities

{probabilities}

## Command

```
{command}
```
"""
HELD = (
    "The calibration of `{base}`. Certain tags (0.8) of the kept sequences: {before} before, {after} after. It was not"
    " fitted again, and on your footage nothing was measured: `nsnet calibrate` does that."
)
DROPPED = "None. The calibration of `{base}` was not shown to hold; `nsnet calibrate` fits a new one."


def check_adaptable(base: Checkpoint, folder: Path) -> None:
    """Raises NsnetError if this checkpoint cannot be adapted, or if it cannot be written there."""
    check_calibratable(base)
    if base.sampler_config["classes"]:
        raise UsageError(
            f"{base.name} has tags of its own, and its sampler knows no others",
            "adapt needs a sampler of a fixed vocabulary, as imagenet-lite has; nsnet train takes more videos",
        )
    assert base.sampler is not None
    if folder.exists() and folder.samefile(base.sampler):
        raise OutputError(f"{folder} is the checkpoint to adapt itself", "give another folder with -o")
    check_folder(folder, (CONFIG_FILE, CARD_FILE, MODEL_FILE), marks=(CONFIG_FILE,))
    if folder.is_dir() and any(folder.iterdir()) and not owner(folder / CONFIG_FILE).ours:
        raise OutputError(f"{folder} exists and is not a checkpoint of nsnet", "give another folder with -o")


def write_adapted(
    folder: Path,
    base: Checkpoint,
    made: Adapted,
    calibration: Calibration | None,
    promises: tuple[Promise | None, Promise | None],
    *,
    seed: int,
    epochs: int,
    command: str,
) -> None:
    """Writes the folder. `calibration`: the base's if it holds, `promises` before and after. Raises WeightsError."""
    assert made.sampler is not None and made.memory is not None
    config = calibrated_config(base, calibration, folder)
    for key in ("index_sha256", "model_sha256"):  # of files that are not in this folder
        config.pop(key, None)
    config["training"] = {
        "data": f"{made.videos} unlabelled videos, {made.frames} frames of scenery",
        "base": base.name,
        "base_hash": base.hash,
        "seed": seed,
        "epochs": epochs,
        "command": command,
    }
    config["metrics"] = metrics(made)
    tensors = {f"sampler.{key}": value.detach().cpu().numpy() for key, value in made.sampler.state_dict().items()}
    write_checkpoint(folder, config, tensors, _card(config, base, made, calibration, promises, command))


def metrics(made: Adapted) -> dict[str, float]:
    """The ROC-AUC of each half of the videos and of kept footage, before and after."""
    found = {f"footage_{n}": pair for n, pair in enumerate(made.halves, 1)}
    found |= {"kept": made.memory} if made.memory else {}
    return {
        f"{name}_roc_auc_{when}": round(getattr(pair, when), 4) for name, pair in found.items() for when in Pair._fields
    }


def _card(
    config: dict[str, Any],
    base: Checkpoint,
    made: Adapted,
    calibration: Calibration | None,
    promises: tuple[Promise | None, Promise | None],
    command: str,
) -> str:
    assert made.memory is not None
    pairs = [(f"footage, half {n}", pair) for n, pair in enumerate(made.halves, 1)] + [("kept", made.memory)]
    before, after = map(share, promises)
    return CARD.format(
        license=config["license"].lower(),
        name=config["name"],
        base=base.name,
        videos=made.videos,
        preview=f"{base.preview.network.name} at {base.preview.size_px} px",
        recogniser=f"{base.recogniser.network.name} at {base.recogniser.size_px} px",
        rows="\n".join(f"| {name} | {pair.before:.4f} | {pair.after:.4f} |" for name, pair in pairs),
        probabilities=(HELD if calibration else DROPPED).format(base=base.name, before=before, after=after),
        command=command,
    )


def share(found: Promise | None) -> str:
    """How many of the certain tags are right, in words."""
    return "not known" if found is None else f"{found.tags_right} of {found.tags_right + found.tags_wrong} right"
