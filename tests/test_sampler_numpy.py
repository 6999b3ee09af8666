"""The sampler in numpy: it says what the torch form says, counts the same cost, and refuses what does not fit."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import CARD, CONFIG, SETTINGS, sampler_tensors, tensors, written
from safetensors.numpy import save_file

from nsnet_cli.errors import WeightsError
from nsnet_cli.nets.cost import COUNTED_CLASSES, SAMPLER_COST_FRAMES, sampler_gflops
from nsnet_cli.nets.engine import Saliency
from nsnet_cli.nets.sampler_config import SamplerConfig, config_of
from nsnet_cli.nets.sampler_numpy import NumpySampler, gelu, load_numpy_sampler
from nsnet_cli.weights.checkpoint import Checkpoint, read_checkpoint, resolve_checkpoint, write_checkpoint
from nsnet_cli.weights.schema import COMBINATIONS

D, C = 12, 3
LARGEST = 2e-6
"""Largest difference of a saliency."""


def variants() -> list[SamplerConfig]:
    """All kinds of samplers, in each combination and with several layers and heads."""
    found = []
    flags = itertools.product((0, C), *[(False, True)] * 4)
    for number, (classes, standing, appearance, elsewhere, second) in enumerate(flags):
        more = {"standing": standing, "appearance": appearance, "elsewhere": elsewhere, "second": second}
        for layers, combination in zip((0, 1, 2, 3, 1), COMBINATIONS, strict=True):
            try:
                config = SamplerConfig(D, classes, 16, layers, (2, 4, 1)[number % 3], combination=combination, **more)
            except ValueError:  # there is no such sampler
                break
            found.append(config)
    return found


def inputs(frames: int, features: int = D, classes: int = 7, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Scenes that come back, in features that are never negative, as those of networks are."""
    rng = np.random.default_rng([frames, seed])
    scene = rng.integers(0, 3, frames)
    seen = np.abs(rng.standard_normal((3, features)))[scene] + 0.5 * np.abs(rng.standard_normal((frames, features)))
    logits = 2 * rng.standard_normal((3, classes))[scene] + rng.standard_normal((frames, classes))
    logits[np.arange(frames), rng.integers(0, classes, frames)] += rng.uniform(0, 9, frames)
    return tuple(value.astype(np.float32) for value in (seen, logits, np.sort(rng.random(frames))))


def by_torch(sampler: Any, given: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    import torch

    from nsnet_cli.nets.sampler import SamplerGraph

    with torch.no_grad():
        return [value.numpy() for value in SamplerGraph(sampler)(*map(torch.from_numpy, given))]


def stirred(config: SamplerConfig) -> Any:
    """A sampler of torch with random weights, norms among them, and statistics of other videos."""
    import torch

    from nsnet_cli.nets.sampler import Sampler

    torch.manual_seed(0)
    sampler = Sampler(config).eval()
    with torch.no_grad():
        for parameter in sampler.parameters():
            parameter += 0.2 * torch.randn(parameter.shape)
    features, logits, times = (torch.from_numpy(value).unsqueeze(0) for value in inputs(99, seed=1))
    sampler.calibrate(features, logits, times, torch.ones(1, 99, dtype=torch.bool))
    return sampler


@pytest.mark.torch
def test_every_sampler_says_what_the_torch_form_says() -> None:
    found: dict[str, list[float]] = {}
    for config in variants():
        sampler = stirred(config)
        numpys = NumpySampler(config, {name: value.numpy() for name, value in sampler.state_dict().items()})
        for frames in (1, 2, 3, 9, 64, 200):
            given = inputs(frames)
            for ours, wanted in zip(numpys(*given), by_torch(sampler, given), strict=True):
                assert ours.shape == (frames,) and ours.dtype == np.float32
                np.testing.assert_allclose(ours, wanted, rtol=0, atol=LARGEST, err_msg=f"{config}, T = {frames}")
            found.setdefault(config.combination, []).append(float(np.ptp(numpys(*given)[2])))
    assert found.keys() == set(COMBINATIONS)
    assert all(max(spread) > 0.1 for spread in found.values()), "frames that are all alike prove little"


@pytest.mark.torch
@pytest.mark.parametrize("frames", [1, 2, 3, 9, 64, 200])
def test_the_shipped_sampler_says_what_the_torch_form_says(frames: int) -> None:
    from nsnet_cli.nets.sampler import load_sampler

    checkpoint = resolve_checkpoint("imagenet-lite")
    sampler, numpys = load_sampler(checkpoint), load_numpy_sampler(checkpoint)
    for seed in range(5):
        given = inputs(frames, 1280, 1000, seed)
        ours, wanted = numpys(*given), by_torch(sampler, given)
        for index in range(3):
            np.testing.assert_allclose(ours[index], wanted[index], rtol=0, atol=LARGEST)


def test_saliency_is_that_of_a_whole_video_in_any_type() -> None:
    sampler = load_numpy_sampler(resolve_checkpoint("imagenet-lite"))
    given = inputs(24, 1280, 1000)
    first = sampler(*given)
    for ours, again in zip(first, sampler(*(value.astype(np.float64) for value in given)), strict=True):
        assert np.array_equal(ours, again) and ((ours >= 0) & (ours <= 1)).all()
    order = np.random.default_rng(0).permutation(24)
    alone = sampler(given[0][order], given[1], given[2])
    assert np.abs(alone[2] - first[2]).max() > 1e-3


def test_what_is_no_number_is_refused(recwarn: pytest.WarningsRecorder) -> None:
    sampler = load_numpy_sampler(resolve_checkpoint("imagenet-lite"))
    for place, value in itertools.product((0, 1), (np.nan, np.inf)):
        given = inputs(5, 1280, 1000)
        given[place][2, 7] = value
        with pytest.raises(WeightsError, match="not a number"):
            Saliency(*sampler(*given))
    assert not recwarn.list


def test_gelu_is_the_exact_one() -> None:
    x = np.linspace(-12, 12, 20_001, dtype=np.float32)
    exact = [value / 2 * math.erfc(-value / math.sqrt(2)) for value in x.tolist()]
    assert gelu(x).dtype == np.float32
    np.testing.assert_allclose(gelu(x), exact, rtol=1e-7, atol=3e-7)


@pytest.mark.torch
def test_the_cost_is_what_torch_counts() -> None:
    import torch

    from nsnet_cli.nets.flops import gflops
    from nsnet_cli.nets.sampler import Sampler, SamplerGraph

    t = SAMPLER_COST_FRAMES
    kinds = [config for config in variants() if config.combination in ("log-odds", "mean")]  # of 0 and 2 layers
    for config in (*kinds, config_of(resolve_checkpoint("imagenet-lite"))):
        example = (torch.zeros(t, config.features), torch.zeros(t, COUNTED_CLASSES), torch.zeros(t))
        assert sampler_gflops(config) == gflops(SamplerGraph(Sampler(config)), *example) / t, config


# ---- files that do not fit


def checkpoint(folder: Path, **changes: Any) -> Checkpoint:
    """A small checkpoint whose file has these tensors changed, or left out with None, after it was read."""
    found = read_checkpoint(written(folder))
    kept = {name: value for name, value in {**tensors(), **changes}.items() if value is not None}
    save_file(kept, folder / "model.safetensors")
    return found


@pytest.mark.torch
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sampler.attention.1.bias": None}, "attention.1.bias is missing"),
        ({"sampler.more": np.zeros(2, np.float32)}, "sampler.more does not belong there"),
        ({"sampler.project.weight": np.zeros((8, 9), np.float32)}, r"project.weight has shape \(8, 9\), not \(8, 1280"),
        ({"sampler.project.bias": np.float32([[0] * 8])}, r"project.bias has shape \(1, 8\), not \(8,\)"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    from nsnet_cli.nets.sampler import load_sampler

    found = checkpoint(tmp_path / "c", **changes)
    with pytest.raises(WeightsError, match=f"does not fit its config.json: .*{named}") as ours:
        load_numpy_sampler(found)
    with pytest.raises(WeightsError, match=r"does not fit its config.json: ") as theirs:
        load_sampler(found)
    assert str(tmp_path / "c") in ours.value.message
    assert (ours.value.hint, ours.value.kind) == (theirs.value.hint, theirs.value.kind)


@pytest.mark.torch
@pytest.mark.parametrize("damage", ["gone", "short", "rubbish", "empty", "folder"])
def test_files_that_cannot_be_read_are_named(tmp_path: Path, damage: str) -> None:
    from nsnet_cli.nets.sampler import load_sampler

    found, path = checkpoint(tmp_path / "c"), tmp_path / "c" / "model.safetensors"
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "gone":
        path.write_bytes({"short": whole[:-4], "rubbish": b"rubbish", "empty": b""}[damage])
    for load in (load_numpy_sampler, load_sampler):
        with pytest.raises(WeightsError, match=r"cannot read .*model.safetensors") as raised:
            load(found)
        assert (raised.value.kind, raised.value.hint) == ("bad_tensors", "download or install it again")


@pytest.mark.torch
def test_types_that_numpy_lacks_are_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file as save_torch

    found = checkpoint(tmp_path / "c")
    values = {name: torch.from_numpy(value) for name, value in tensors().items()}
    values["sampler.project.bias"] = values["sampler.project.bias"].bfloat16()
    save_torch(values, tmp_path / "c" / "model.safetensors")
    with pytest.raises(WeightsError, match=r"cannot read .*model.safetensors"):
        load_numpy_sampler(found)


def test_tensors_of_other_floats_are_read(tmp_path: Path) -> None:
    found = checkpoint(tmp_path / "c")
    given = inputs(9, 1280, 5)
    wanted = load_numpy_sampler(found)(*given)
    save_file({name: value.astype(np.float64) for name, value in tensors().items()}, tmp_path / "c/model.safetensors")
    for ours, single in zip(load_numpy_sampler(found)(*given), wanted, strict=True):
        assert ours.dtype == np.float32 and np.array_equal(ours, single)


def test_settings_that_no_sampler_can_have_are_named(tmp_path: Path) -> None:
    """Each field of this config.json is valid; together they are not."""
    settings = {**SETTINGS, "standing": True, "second": True}
    values = {**sampler_tensors(settings), **{key: value for key, value in tensors().items() if key[:4] == "head"}}
    write_checkpoint(tmp_path / "c", {**CONFIG, "sampler": settings}, values, CARD)
    found = read_checkpoint(tmp_path / "c")
    for refuse in (config_of, load_numpy_sampler):
        with pytest.raises(WeightsError, match=r"does not fit its config.json: a second sampler needs a fixed voc"):
            refuse(found)
    with pytest.raises(WeightsError, match=r"does not fit its config.json: unknown sampler settings \['width'\]"):
        config_of(replace(found, sampler_config={**found.sampler_config, "width": 3}))
