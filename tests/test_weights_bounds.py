"""No checkpoint or registry can lead outside, fill memory, hang, or show up as a bug."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import signal
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import CARD, CONFIG, SETTINGS, tensors, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from nsnet_cli.cli.app import run
from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.checkpoint import read_checkpoint, write_checkpoint
from nsnet_cli.weights.fields import Place, check, table
from nsnet_cli.weights.parse import parse_rows
from nsnet_cli.weights.registry import load_registry
from nsnet_cli.weights.schema import COMBINATIONS, SAMPLER, sampler_shapes
from nsnet_cli.weights.vocabulary import load_vocabulary


@contextmanager
def at_once(seconds: float = 1.0) -> Iterator[None]:
    """Fails what computes for longer, however busy the machine is. Hangs have pytest's limit."""

    def late(number: int, frame: object) -> None:
        raise AssertionError(f"took more than {seconds:g} s")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def changed(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """config.json after `change`, valid or not."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
    return folder


def refused(folder: Path) -> str:
    with at_once(), pytest.raises(WeightsError) as raised:
        read_checkpoint(folder)
    assert str(folder) in str(raised.value) and raised.value.exit_code == 5
    return str(raised.value)


# ---- a path in a checkpoint


@pytest.mark.parametrize("name", ["/etc/passwd", "/dev/zero", "../tags.txt", "tags.txt", "~/tags.txt", ""])
def test_a_folder_cannot_name_a_vocabulary_file(name: str, tmp_path: Path) -> None:
    """Otherwise its lines would come out as tags."""
    (tmp_path / "tags.txt").write_text("a\nb\n")
    assert "vocabulary: " in refused(written(tmp_path / "c", vocabulary=name))


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "huge"])
def test_only_regular_files_of_a_bounded_size_are_read(file: str, kind: str, tmp_path: Path) -> None:
    path = written(tmp_path / "c") / file
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as handle:
            handle.truncate(10 << 30)
    message = refused(path.parent)
    assert "not a regular file" in message or "10,737,418,240 bytes" in message


def test_registry_and_vocabulary_files_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge.txt").open("wb") as handle:
        handle.truncate(10 << 30)
    for name in ("/dev/zero", str(tmp_path / "pipe"), str(tmp_path / "huge.txt")):
        monkeypatch.setenv("NSNET_WEIGHTS", name)
        with at_once(), pytest.raises(WeightsError, match=r"regular file|the limit is"):
            load_registry()
        with at_once(), pytest.raises(WeightsError, match=r"regular file|the limit is"):
            load_vocabulary(name)


def test_a_downloaded_checkpoint_cannot_lead_out_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    from nsnet_cli.weights.checkpoint import resolve_checkpoint

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    revision = "a" * 40
    snapshot = tmp_path / "hub" / "models--me--two" / "snapshots" / revision
    snapshot.parent.mkdir(parents=True)
    written(snapshot)
    assert resolve_checkpoint(f"hub:me/two@{revision}").name == "two-tags"
    (snapshot / "config.json").rename(tmp_path / "elsewhere.json")
    (snapshot / "config.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(WeightsError, match="points outside the cache"):
        resolve_checkpoint(f"hub:me/two@{revision}")


def test_push_sends_only_the_files_of_the_folder(tmp_path: Path) -> None:
    from nsnet_cli.weights.push import checked_folder

    folder = written(tmp_path / "c")
    assert len(checked_folder(folder, "me/two")) == 3
    (tmp_path / "secret").write_text(CARD)
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to(tmp_path / "secret")
    with pytest.raises(WeightsError, match="points outside the folder"):
        checked_folder(folder, "me/two")


# ---- sizes and types


def sampler(**changes: Any) -> dict[str, Any]:
    return {"sampler": {**SETTINGS, **changes}}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (sampler(hidden=65536), "sampler.hidden: 65536 is not between 2 and 4096"),
        (sampler(layers=1_000_000), "sampler.layers: 1000000"),
        (sampler(heads=0), "sampler.heads: 0"),
        (sampler(hidden=8, heads=3), "sampler.hidden: 8 is not a multiple of 2 x heads = 6"),
        (sampler(features="many"), "sampler.features: 'many' is not a whole number"),
        (sampler(features=1279), "sampler.project.weight has shape (8, 1280), config.json needs (8, 1279)"),
        (sampler(classes=3), "sampler.classes: 3, but the own-vocabulary of 2 tags needs 2"),
        (sampler(combination="sum"), "sampler.combination: 'sum' is not one of log-odds"),
        (sampler(standing="yes"), "sampler.standing: 'yes' is not true or false"),
        (sampler(dropout=True), "sampler.dropout: True is not a number"),
        (sampler(width=3), "sampler.width: unknown field"),
        ({"sampling": {"frames": "four"}}, "sampling.frames: 'four'"),
        ({"sampling": {"frames": 9, "preview": 8}}, "sampling.frames: 9 is more than the 8 preview frames"),
        ({"multi_label": 1}, "multi_label: 1 is not true or false"),
        ({"name": 7}, "name: 7 is not text"),
        ({"license": None}, "license: None is not text"),
        ({"training": []}, "training: [] is not a table"),
        ({"kind": "fixed-vocabulary", **sampler(classes=0)}, "vocabulary: 2 tags, but efficientnet-lite2 has 1000"),
        ({"vocabulary": [{"id": "a", "name": "\ud800"}]}, "vocabulary[0].name: '\\ud800' is not text"),
        ({"vocabulary": [{"id": 1, "name": "one"}]}, "vocabulary[0].id: 1 is not text"),
        ({"preview": {"network": ["efficientnet-lite0"], "size_px": 128}}, "preview.network: ['efficientnet-lite0']"),
    ],
)
def test_what_is_wrong_in_a_config_is_named(changes: dict[str, Any], named: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "c")
    changed(folder, lambda config: config.update(changes))
    message = refused(folder)
    assert named in message and str(folder) in message


def test_files_that_are_not_a_table_of_fields(tmp_path: Path) -> None:
    folder = written(tmp_path / "c")
    for text in (
        "[]",
        "null",
        '"x"',
        "1e999",
        "[" * 100_000,
        '{"a":' * 100_000,
        "\ud800".encode(errors="surrogatepass"),
    ):
        data = text if isinstance(text, bytes) else text.encode()
        (folder / "config.json").write_bytes(data)
        refused(folder)
    changed(written(tmp_path / "d"), lambda config: config["metrics"].update(deep=json.loads("[" * 60 + "]" * 60)))
    assert "metrics: tables or lists are nested more than 16 deep" in refused(tmp_path / "d")


def test_numbers_that_json_does_not_have_are_left_out_of_metrics(tmp_path: Path) -> None:
    """Older training runs wrote NaN for what they could not measure. A row of results must not repeat it."""
    found = read_checkpoint(written(tmp_path / "c", metrics={"map": float("nan"), "top1": 0.5}))
    assert dict(found.metrics) == {"map": None, "top1": 0.5}


def test_false_headers_are_refused(tmp_path: Path) -> None:
    """A length beyond the file, a length that would fill memory, tensors that overlap or do not fit their shape."""
    folder = written(tmp_path / "c")
    changed(folder, lambda config: config.pop("model_sha256"))
    whole = (folder / "model.safetensors").read_bytes()
    huge = b'{"head.bias":{"dtype":"F32","shape":[65536,65536,65536],"data_offsets":[0,8]}}'
    for data in (b"", b"\0" * 8, b"\xff" * 64, (1 << 40).to_bytes(8, "little") + whole[8:], whole[:-4],
                 len(huge).to_bytes(8, "little") + huge + bytes(8)):  # fmt: skip
        (folder / "model.safetensors").write_bytes(data)
        assert "model.safetensors" in refused(folder)


def test_damaged_weights_end_the_command_before_the_first_video(tmp_path: Path, cat_video: Path, capsys) -> None:
    write_checkpoint(tmp_path / "c", CONFIG, {**tensors(), "head.weight": np.full((2, 1280), np.inf, np.float32)}, CARD)
    assert run(["tag", str(cat_video), "--checkpoint", str(tmp_path / "c")]) == 5
    out, err = capsys.readouterr()
    assert out == "" and "head.weight holds NaN or infinity" in err


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    """A head that does not fit its recogniser is only seen once both are loaded. That is not an error of a video."""
    from nsnet_cli.nets.build import check_widths

    found = read_checkpoint(written(tmp_path / "c"))
    check_widths(found, 1280, 1280)
    with pytest.raises(WeightsError, match=r"head.weight has shape \(2, 1280\), efficientnet-lite2 gives 512"):
        check_widths(found, 1280, 512)
    with pytest.raises(WeightsError, match=r"sampler.features is 1280, but efficientnet-lite0 gives 512"):
        check_widths(found, 512, 1280)


def test_scores_that_are_not_numbers_are_an_error() -> None:
    from nsnet_cli.nets.engine import Saliency
    from nsnet_cli.weights.heads import OwnClassifier

    with pytest.raises(WeightsError, match="not numbers"):
        OwnClassifier(()).scores(np.ones((1, 2)), np.array([[np.nan, 1.0]]))
    with pytest.raises(WeightsError, match="not a number"):
        Saliency(np.ones(1), np.ones(1), np.array([np.nan]))


@pytest.mark.torch
def test_network_files_of_nan_or_rubbish_are_refused(tmp_path: Path) -> None:
    from nsnet_cli.nets.networks import _misfit
    from nsnet_cli.nets.states import read_state

    torch = pytest.importorskip("torch")
    fine = {"a": torch.ones(2)}
    assert _misfit(fine, fine) == ""
    assert _misfit(fine, {"a": torch.tensor([1.0, torch.nan])}) == "a holds NaN or infinity; wrong parameters: 1"
    for name, data in (("x.safetensors", b"rubbish"), ("x.pth", b"rubbish"), ("e.pth", b""), ("e.safetensors", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(WeightsError, match="cannot read"):
            read_state(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="no table of tensors"):
        read_state(tmp_path / "list.pth")


# ---- the table of fields and the sampler are one


def test_the_fields_of_a_sampler_are_its_settings() -> None:
    from typing import get_args, get_type_hints

    from nsnet_cli.nets.sampler_config import SamplerConfig

    named = {field.name: field.default for field in dataclasses.fields(SamplerConfig)}
    assert {key: field.default for key, field in SAMPLER.items() if key != "features"} == {
        key: value for key, value in named.items() if key != "features"
    }
    assert get_args(get_type_hints(SamplerConfig)["combination"]) == COMBINATIONS


@pytest.mark.torch
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("standing", [False, True])
@pytest.mark.parametrize(("layers", "elsewhere"), [(0, False), (2, False), (2, True)])
def test_shapes_are_those_of_the_sampler(classes: int, standing: bool, layers: int, elsewhere: bool) -> None:
    from nsnet_cli.nets.sampler import Sampler, SamplerConfig

    more = {"elsewhere": elsewhere, "appearance": bool(classes) or not (standing and elsewhere)}
    config = SamplerConfig(12, classes, 16, heads=2, layers=layers, standing=standing, **more)
    if standing and not classes and config.appearance:
        config = dataclasses.replace(config, second=True)
    state = Sampler(config).state_dict()
    assert sampler_shapes(config.to_dict()) == {key: tuple(value.shape) for key, value in state.items()}


# ---- anything at all

REGISTRY = tomllib.loads("""
schema_version = 1
[networks.mine]
architecture = "resnet18"
license = "MIT"
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
interpolation = "area"
crop = 0.9
vocabulary = ["cat", "dog"]
[[networks.mine.sources]]
kind = "hub"
repo_id = "me/mine"
revision = "0123456789012345678901234567890123456789"
file = "model.safetensors"
size_bytes = 10
[[networks.mine.sources]]
kind = "package"
distribution = "some"
module = "some"
file = "a/b.pth"
sha256 = "0123456789012345678901234567890123456789012345678901234567890123"
[checkpoints.pair]
description = "mine"
license = "MIT"
preview = { network = "mine", size_px = 96 }
recogniser = { network = "efficientnet-lite2", size_px = 192 }
sampler = "./there"
frames = 5
""")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 1 << 62, 1 << 80, 10**400]),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["", ".", "..", "../../x", "/etc/passwd", "hf-hub:a/b", "a\0b", "\ud800", "~", "imagenet-1k", "1e999"]
    ),
)
ANY = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All positions in nested tables and lists."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def mutated(value: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    """Replaces, removes, doubles, renames or nests one to three values."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(value)))
        if not path:
            continue
        inside = value
        for key in path[:-1]:
            inside = inside[key]
        last, how = path[-1], draw(st.sampled_from(["replace", "remove", "wrap", "rename"]))
        if how == "replace":
            inside[last] = draw(ANY)
        elif how == "remove":
            del inside[last]
        elif how == "wrap":
            for _ in range(draw(st.sampled_from([1, 20, 300]))):
                inside[last] = [inside[last]]
        elif isinstance(inside, dict):
            inside[draw(st.text(max_size=8))] = inside.pop(last)
    return value


MANY = settings(max_examples=300, suppress_health_check=list(HealthCheck))


@MANY
@given(data=st.data())
def test_any_config_loads_or_is_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("config")
    whole = {"schema_version": 1, **CONFIG}
    (folder / "model.safetensors").write_bytes(MODEL)
    text = json.dumps(mutated(whole, data.draw))
    (folder / "config.json").write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        with at_once():
            found = read_checkpoint(folder)
    except WeightsError as error:
        assert str(folder) in str(error) and len(str(error)) < 1000
        str(error).encode(errors="surrogateescape")
    else:
        assert len(found.hash) == 16 and found.frames <= found.preview_frames


MODEL = save(tensors())


@MANY
@given(data=st.data())
def test_any_registry_loads_or_is_refused(data: st.DataObject) -> None:
    rows = mutated(REGISTRY, data.draw)
    shipped = load_registry()
    try:
        with at_once():
            found = parse_rows(rows, "my.toml", "/there/my.toml", Path("/there"), shipped)
    except WeightsError as error:
        assert str(error).startswith("my.toml: ") and len(str(error)) < 2000
    else:
        for name, row in found.networks.items():
            assert (
                "/" not in name
                and ".." not in row.architecture + name.replace("..", "_")
                and ":" not in row.architecture
            )


def test_a_registry_nested_deeply_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("a = " + "[" * 20_000, "a = " + "{b = " * 20_000, "a" + ".a" * 3000 + " = 1", "a = 1" + "0" * 9000):
        path = tmp_path / f"{time.monotonic_ns()}.toml"
        path.write_text(f"schema_version = 1\n{text}\n")
        monkeypatch.setenv("NSNET_WEIGHTS", str(path))
        with at_once(5), pytest.raises(WeightsError):
            load_registry()


def test_a_big_vocabulary_is_checked_quickly() -> None:
    from nsnet_cli.weights.schema import TAGS

    with at_once(10):  # half a second on a machine that is not busy
        check([{"id": str(i), "name": f"tag {i}"} for i in range(100_000)], TAGS, Place("x", None, "x"))
    with pytest.raises(WeightsError, match="length 100001"):
        check([{}] * 100_001, TAGS, Place("x", None, "x"))
    assert table(None).fields is None
