"""Writes the shipped checkpoint folder: config.json, model.safetensors and README.md (the model card)."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from string import Template

from safetensors.torch import save_file

from nsnet_cli.nets.sampler import Sampler
from nsnet_cli.weights.memory import sha256_of
from nsnet_cli.weights.rows import CheckpointRow

CARD = Path(__file__).with_name("imagenet-lite-card.md")


def write_checkpoint(
    out: Path,
    row: CheckpointRow,
    sampler: Sampler,
    epochs: int | None,
    metrics: dict[str, dict[str, float]],
    args: argparse.Namespace,
) -> None:
    """`epochs`: None if the sampler was trained in an earlier run."""
    out.mkdir(parents=True, exist_ok=True)
    state = {f"sampler.{name}": value.contiguous() for name, value in sampler.state_dict().items()}
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)  # save_file makes it private
    config = {
        "schema_version": 1,
        "name": row.name,
        "kind": "fixed-vocabulary",
        "license": row.license,
        "preview": {"network": row.preview.network.name, "size_px": row.preview.size_px},
        "recogniser": {"network": row.recogniser.network.name, "size_px": row.recogniser.size_px},
        "sampler": sampler.config.to_dict(),
        "vocabulary": "imagenet-1k",
        "multi_label": False,
        "sampling": {"frames": row.frames, "preview": 128},
        "training": {
            "data": "photos and footage of nsnet's shared data by sha1 of the file name, fold of 5: trained on "
            f"{args.folds}, fold {args.measure_fold} only measured on",
            "seed": args.seed,
            "command": "python benchmarks/" + " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "epochs": epochs,
        },
        "metrics": metrics,
    }
    index = out / "index.safetensors"  # of the preview network: a new sampler changes nothing in it
    if index.exists():
        config["index_sha256"] = sha256_of(index)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    rows = "\n".join(
        f"| {name} | {value} |" + "".join(f" {other.get(name, '')} |" for other in list(metrics.values())[1:])
        for name, value in next(iter(metrics.values()), {}).items()
    )
    head = "| | " + " | ".join(metrics) + " |\n|" + " --- |" * (len(metrics) + 1)
    card = Template(CARD.read_text()).safe_substitute(table=f"{head}\n{rows}", command=config["training"]["command"])
    (out / "README.md").write_text(card)
