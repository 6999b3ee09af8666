"""The model card of a trained checkpoint: README.md with the Hub's metadata on top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nsnet_cli.weights.tuned import is_tuned

HUB_IDS = {
    "efficientnet-lite0": "timm/tf_efficientnet_lite0.in1k",
    "efficientnet-lite2": "timm/tf_efficientnet_lite2.in1k",
    "resnet50": "timm/resnet50.a1_in1k",
}
WHAT = {
    "own-vocabulary": "A sampler and a head for {count} tags, trained on the videos named below.",
    "fixed-vocabulary": "A sampler for the tags of ImageNet-1k, trained on the videos named below.",
}

TUNED = (
    " The recogniser is fine-tuned: its weights are in recogniser.safetensors. `nsnet` provides the preview network."
)


def model_card(config: Mapping[str, Any], videos: int) -> str:
    """Markdown: metadata header (license, pipeline_tag, base_model, metrics), use, data, metrics, command."""
    training, vocabulary = config["training"], config["vocabulary"]
    names = [config[key]["network"] for key in ("preview", "recogniser")]
    own = config["kind"] == "own-vocabulary"
    sections = [
        _metadata(config, names),
        f"# {config['name']}",
        WHAT[config["kind"]].format(count=len(vocabulary))
        + f" {names[0]} previews at {config['preview']['size_px']} px, the sampler chooses"
        f" {config['sampling']['frames']} frames, {names[1]} recognises them at {config['recogniser']['size_px']} px."
        + (TUNED if is_tuned(config) else " The two networks are not in this folder; `nsnet` provides them."),
        f"```\nnsnet tag --checkpoint {config['name']}/ VIDEO\n```",
    ]
    if own:
        sections += ["## Tags", ", ".join(f"`{tag['name']}`" for tag in vocabulary)]
    counts = ", ".join(f"{count} {split}" for split, count in training["videos"].items() if count)
    sections += ["## Data", f"{videos} videos of `{training['data']}`: {counts}."]
    sections += ["## Metrics", _metrics(config["metrics"])]
    sections += ["## Command", f"```\n{training['command']}\n```", f"Seed {training['seed']}."]
    return "\n\n".join(sections) + "\n"


def _metadata(config: Mapping[str, Any], names: list[str]) -> str:
    lines = [
        "---",
        f"license: {config['license'].lower()}",
        "library_name: nsnet",
        "pipeline_tag: video-classification",
    ]
    lines += ["base_model:", *(f"- {HUB_IDS.get(name, name)}" for name in dict.fromkeys(names))]
    lines += ["tags:", "- nsnet", "- video-tagging", "- frame-sampling", "metrics:", "- accuracy"]
    return "\n".join([*lines, "---"])


def _metrics(metrics: Mapping[str, float]) -> str:
    """A table with one row per figure, and what `val` and `test` mean: `test` is the one to trust."""
    rows = [f"| {key.replace('_', ' ')} | {value:g} |" for key, value in metrics.items()]
    note = (
        "`val` videos decided when the sampler's training stopped. They were measured before the tag head learned from"
        " them too. `test` videos took no part in training."
    )
    return "\n".join(["| figure | value |", "| --- | --- |", *rows]) + f"\n\n{note}"
