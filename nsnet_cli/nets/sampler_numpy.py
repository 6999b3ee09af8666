"""The sampler for one video in numpy: what the CPU engine runs.

`sampler.py` is the reference: it has the reasons, and is what is trained. A graph of it for OpenVINO would take longer
to load than this takes to load and to judge a video. One video has no padding, so there are no masks here. What both
of two samplers need is computed once, and the pooled features that only training looks at are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nsnet_cli.errors import WeightsError
from nsnet_cli.nets.sampler_config import (
    ALIKE,
    ALIKE_WIDTH,
    FAR,
    FASTEST,
    FSM_SHARE,
    LIMIT,
    SECOND_SHARE,
    SamplerConfig,
    config_of,
    misfit,
)
from nsnet_cli.weights.checkpoint import MODEL_FILE, Checkpoint
from nsnet_cli.weights.fields import regular_size
from nsnet_cli.weights.heads import softmax
from nsnet_cli.weights.schema import FRAME_STATISTICS, MODEL_BYTES, sampler_shapes

PREFIX, SECOND = "sampler.", "second."
"""How the names of its tensors begin in a checkpoint, and then those of its second sampler."""
Tensors = Mapping[str, np.ndarray]


class NumpySampler:
    """Scores the frames of one video: features (T, D), logits (T, C), times (T,) -> fsm, vgm, combined, each (T,).

    All are float32, `times` = pts_s / duration. `logits` are ignored if config.classes is not 0. `tensors` are those of
    `schema.sampler_shapes`. Safe to call from several threads.
    """

    def __init__(self, config: SamplerConfig, tensors: Tensors) -> None:
        self.config = config
        self._first = OneSampler(config, tensors)
        second = {name.removeprefix(SECOND): value for name, value in tensors.items() if name.startswith(SECOND)}
        self._second = OneSampler(config.of_second(), second) if config.second else None

    def __call__(
        self, features: np.ndarray, logits: np.ndarray, times: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        with np.errstate(all="ignore"):  # features of any size are judged; what is no number, `Saliency` refuses
            return self._judged(*(np.asarray(value, np.float32) for value in (features, logits, times)))

    def _judged(
        self, features: np.ndarray, logits: np.ndarray, times: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        fixed = self.config.classes == 0
        x = centred(features)  # (T, D)
        statistics = frame_statistics(x, logits if fixed else None, times)  # (T, S)
        elsewhere = fixed and (self.config.elsewhere or self.config.second)
        more = np.concatenate([statistics, seen_elsewhere(logits, times)], 1) if elsewhere else statistics
        head, attention = self._first(x, more if self.config.elsewhere else statistics, times)
        if self._second is not None:
            other_head, other_attention = self._second(x, more, times)
            head = between(head, other_head)
            attention = between(log_odds(sigmoid(attention)), log_odds(sigmoid(other_attention)))
        energy = statistics[:, 0] if fixed else log_sum_exp(head[:, :-1])  # (T,): of the classes
        fsm_log_odds = energy - head[:, -1]  # (T,)
        fsm, vgm = sigmoid(fsm_log_odds), sigmoid(attention)
        return fsm, vgm, self._combined(fsm, vgm, fsm_log_odds, attention)

    def _combined(
        self, fsm: np.ndarray, vgm: np.ndarray, fsm_log_odds: np.ndarray, vgm_log_odds: np.ndarray
    ) -> np.ndarray:
        if self.config.combination == "log-odds":
            return sigmoid(FSM_SHARE * fsm_log_odds + (1 - FSM_SHARE) * vgm_log_odds)
        if self.config.combination == "product":
            return np.asarray(np.sqrt(fsm * vgm + 1e-12))
        return {"mean": (fsm + vgm) / 2, "fsm": fsm, "vgm": vgm}[self.config.combination]


class OneSampler:
    """A sampler without its second: x (T, D), statistics (T, S), times (T,) -> head (T, classes + 1), attention (T,).

    The head's last column is the non-salient logit. The attention is the log-odds of lambda.
    """

    def __init__(self, config: SamplerConfig, tensors: Tensors) -> None:
        self._config, self._tensors = config, tensors
        self._own = FRAME_STATISTICS if config.classes == 0 else 0
        self._bands = time_bands(config.hidden)

    def __call__(self, x: np.ndarray, statistics: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        of = self._tensors
        told = ((statistics - of["statistics_mean"]) / of["statistics_std"]).clip(-LIMIT, LIMIT)  # (T, S)
        own, context = told if self._config.standing else told[:, : self._own], told[:, self._own :]
        frames = np.zeros((len(x), self._config.hidden), np.float32)  # each frame's own
        if self._config.appearance:
            frames += self._linear("project", x)
        if own.shape[1]:
            frames += own @ of["own_statistics.weight"].T
        head = self._linear("classifier.4", gelu(self._linear("classifier.1", self._norm("classifier.0", frames))))
        angles = times[:, None] * self._bands  # (T, H/2)
        mixed = frames + context @ of["context_statistics.weight"].T
        mixed += np.concatenate([np.sin(angles), np.cos(angles)], 1)
        for index in range(self._config.layers):
            mixed = self._encoded(f"encoder.{index}", mixed)
        return head, self._linear("attention.1", self._norm("attention.0", mixed))[:, 0]

    def _encoded(self, layer: str, x: np.ndarray) -> np.ndarray:
        """(T, H) -> (T, H), mixed over time."""
        heads, hidden = self._config.heads, self._config.hidden
        qkv = self._linear(f"{layer}.qkv", self._norm(f"{layer}.norm1", x))
        q, k, v = qkv.reshape(-1, 3, heads, hidden // heads).transpose(1, 2, 0, 3)  # each (heads, T, H / heads)
        weights = softmax(q @ k.transpose(0, 2, 1) * math.sqrt(heads / hidden))  # (heads, T, T)
        x = x + self._linear(f"{layer}.out", (weights @ v).transpose(1, 0, 2).reshape(x.shape))
        inner = gelu(self._linear(f"{layer}.mlp.0", self._norm(f"{layer}.norm2", x)))
        return x + self._linear(f"{layer}.mlp.2", inner)

    def _linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return np.asarray(x @ self._tensors[f"{name}.weight"].T + self._tensors[f"{name}.bias"])

    def _norm(self, name: str, x: np.ndarray) -> np.ndarray:
        return np.asarray(centred(x) * self._tensors[f"{name}.weight"] + self._tensors[f"{name}.bias"])


# ---- statistics: see sampler_statistics.py ---------------------------------------------------------------------------


def frame_statistics(x: np.ndarray, logits: np.ndarray | None, times: np.ndarray) -> np.ndarray:
    """x (T, D), logits (T, C), times (T,) -> (T, S)."""
    unit = of_length_1(x)
    likeness = unit @ of_length_1(unit.mean(0))  # (T,)
    near = (unit[1:] * unit[:-1]).sum(1)  # (T-1,)
    nothing = np.zeros(1, np.float32)
    context = [likeness, np.append(nothing, near), np.append(near, nothing), *recurrence(unit, times)]
    if logits is None:
        return np.stack(context, 1)
    energy = log_sum_exp(logits)  # (T,)
    log_p = logits - energy[:, None]
    entropy = -(np.exp(log_p) * log_p).sum(1)
    high, second = two_highest(logits)
    own = [energy, high, high - second, entropy, np.exp(high - energy)]
    return np.stack([*own, *context, *(value - value.mean() for value in (energy, high))], 1)


def recurrence(unit: np.ndarray, times: np.ndarray) -> list[np.ndarray]:
    """unit (T, D) of length 1, times (T,) -> five of (T,)."""
    alike, far = unit @ unit.T, far_away(times)  # (T, T)
    shares = [sigmoid((alike - least) / ALIKE_WIDTH).mean(1) for least in ALIKE]
    nearest = np.where(far, alike, np.float32(-1)).max(1)
    return [*(np.log(share.clip(1e-3)) for share in shares), nearest, mean_of(alike, far)]


def seen_elsewhere(logits: np.ndarray, times: np.ndarray) -> np.ndarray:
    """logits (T, C), times (T,) -> (T, 4)."""
    far = far_away(times)  # (T, T)
    best = logits.argmax(1)
    there = logits[:, best].T  # (T, T): of each frame's best class in every frame
    high, mean = logits.max(1), there.mean(1)
    most = np.where(far.any(1), np.where(far, there, np.float32(-1e4)).max(1), mean)
    unit = of_length_1(logits - logits.mean(1, keepdims=True))
    alike = unit @ unit.T  # (T, T)
    highest = np.where(far, alike, np.float32(0)).max(1)
    return np.stack([high - mean, high - most, highest, mean_of(alike, far)], 1)


def far_away(times: np.ndarray) -> np.ndarray:
    """Which frames are FAR from each frame: (T,) -> (T, T) of bool."""
    return np.asarray(np.abs(times[:, None] - times) > FAR)


def mean_of(values: np.ndarray, which: np.ndarray) -> np.ndarray:
    """The mean of some values in each row, 0 of none: (T, T), (T, T) of bool -> (T,)."""
    count = which.sum(1, dtype=np.float32).clip(1)
    return np.asarray(np.where(which, values, np.float32(0)).sum(1) / count)


def two_highest(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, C) -> (T,), (T,). With two maxima it is quicker than sorting."""
    rows, best = np.arange(len(logits)), logits.argmax(1)
    others = logits.copy()
    others[rows, best] = -np.inf
    return logits[rows, best], others.max(1)


# ---- functions that numpy lacks --------------------------------------------------------------------------------------


def centred(x: np.ndarray) -> np.ndarray:
    """Each row with mean 0 and variance 1, as torch's LayerNorm has it."""
    x = x - x.mean(-1, keepdims=True)
    return np.asarray(x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-5))


def of_length_1(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.sqrt(np.square(x).sum(-1, keepdims=True)).clip(1e-12))


def log_sum_exp(x: np.ndarray) -> np.ndarray:
    """(T, C) -> (T,)."""
    high = x.max(1)
    return np.asarray(high + np.log(np.exp(x - high[:, None]).sum(1)))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def log_odds(probability: np.ndarray) -> np.ndarray:
    p = probability.clip(1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)))


def between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The mean of what two samplers say."""
    return np.asarray((1 - SECOND_SHARE) * first + SECOND_SHARE * second)


def gelu(x: np.ndarray) -> np.ndarray:
    """The exact GELU, with 1 - erf from Abramowitz and Stegun, 7.1.26, which is off by at most 1.5e-7."""
    size = np.abs(x).astype(np.float64)
    t = 1 / (1 + 0.3275911 / math.sqrt(2) * size)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.asarray(np.maximum(x, 0) - size * series * np.exp(size * size / -2) / 2, np.float32)


def time_bands(hidden: int) -> np.ndarray:
    """The angles of the time embedding at time 1, (H/2,). They round as torch's do: an error counts hundredfold."""
    count = hidden // 2
    last = np.float32(math.log(FASTEST) if count > 1 else 0)
    step, index = float(last / np.float32(max(1, count - 1))), np.arange(count)
    line = np.where(index < count // 2, step * index, float(last) - step * (count - 1 - index))
    return np.asarray(np.exp(line.astype(np.float32).astype(np.float64)).astype(np.float32) * np.float32(math.pi))


# ---- loading ---------------------------------------------------------------------------------------------------------


def load_numpy_sampler(checkpoint: Checkpoint) -> NumpySampler:
    """Returns the sampler of a checkpoint folder. Raises WeightsError if weights and config disagree."""
    assert checkpoint.sampler is not None
    path, config = checkpoint.sampler / MODEL_FILE, config_of(checkpoint)
    tensors = _read(path)
    wanted = sampler_shapes(config.to_dict())
    for name in sorted(wanted.keys() | tensors.keys()):
        found, fits = tensors[name].shape if name in tensors else None, wanted.get(name)
        if found != fits:
            why = "is missing" if found is None else f"has shape {found}, not {fits}"
            raise misfit(checkpoint, f"{PREFIX}{name} {why if fits is not None else 'does not belong there'}")
    return NumpySampler(config, tensors)


def _read(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    try:
        regular_size(path, MODEL_BYTES)
        with safe_open(path, framework="numpy") as file:
            names = [name for name in file.keys() if name.startswith(PREFIX)]  # noqa: SIM118
            return {name.removeprefix(PREFIX): file.get_tensor(name).astype(np.float32, copy=False) for name in names}
    except (OSError, ValueError, TypeError, AttributeError, SafetensorError) as error:  # of types that numpy lacks, too
        raise WeightsError(f"cannot read {path}: {error}", "download or install it again", "bad_tensors") from error
