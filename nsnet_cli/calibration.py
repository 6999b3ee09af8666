"""From signs to a probability: the chance that a person who looks agrees with a tag.

The model is a logistic regression over a few signs, with one number per node: how far the recogniser can be trusted
with it. `nsnet calibrate` fits it, config.json keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from nsnet_cli.records import dataclass

if TYPE_CHECKING:
    import numpy as np  # not at run time: a checkpoint is read before there is time to import it

FRAME_SIGNS = ("mean", "peak", "support", "leaves")
LIKENESS_SIGNS = ("stay",)
SAMPLER_SIGNS = ("salient", "salient_mean")
PREVIEW_SIGNS = ("preview",)
SIGNS = FRAME_SIGNS + LIKENESS_SIGNS + SAMPLER_SIGNS + PREVIEW_SIGNS
"""
All but `leaves` are taken in one scene: that of the recognised frame where the node's scores sum up highest. Other
frames count by how much they look like it.

- peak: that sum. mean: the sums' mean over the recognised frames. Both are log-odds.
- preview: the same mean of the preview network's sums, where its classes are the tags.
- support: the log of the share of recognised frames in the scene. stay: the log of the number of preview frames in it.
- salient: the FSM's mean over the recognised frames, as log-odds.
- salient_mean: `mean` above its least value, times the FSM's mean: a sum says more where the frames are salient.
- leaves: the log of the number of tags below the node.
"""

LEAST_SEEN = 0.1
"""A tag whose scores sum up to less than this in every frame loses probability: it would be a guess from habit."""
LIKELY = 0.5
"""`perhaps` names nothing that is less likely."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted model. Each of `signs` (names in SIGNS) has a weight. Only that of `leaves` may be negative."""

    signs: tuple[str, ...]
    weights: tuple[float, ...]
    bias: float
    trust: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Added for a node, by id. 0 for a node that is not listed."""
    fitted_on: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """How many videos, tags and sources it was fitted on, and what was measured: for people only."""

    def probabilities(self, signs: np.ndarray, nodes: Sequence[str]) -> np.ndarray:
        """signs (n, S) of nodes with these ids -> probabilities (n,) in (0, 1)."""
        import numpy as np

        trust = np.array([self.trust.get(node, 0.0) for node in nodes])
        return np.asarray(1 / (1 + np.exp(-(signs @ np.array(self.weights) + self.bias + trust))))

    def to_json(self) -> dict[str, Any]:
        """What config.json keeps under `calibration`."""
        return {
            "signs": dict(zip(self.signs, self.weights, strict=True)),
            "bias": self.bias,
            "trust": dict(self.trust),
            "fitted_on": dict(self.fitted_on),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Calibration:
        """Reads a checked entry (weights.schema.CALIBRATION)."""
        used = {sign: float(weight) for sign, weight in row["signs"].items() if weight}
        return cls(tuple(used), tuple(used.values()), row["bias"], row["trust"], row["fitted_on"])
