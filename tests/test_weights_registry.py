"""weights.toml: the shipped rows match what they name, a user's rows are added, and mistakes are named."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from nsnet_cli.errors import WeightsError
from nsnet_cli.types import TagName
from nsnet_cli.weights.checkpoint import MODEL_FILE, resolve_checkpoint, row_sampler
from nsnet_cli.weights.identity import network_identity
from nsnet_cli.weights.memory import sha256_of
from nsnet_cli.weights.obtain import network_file
from nsnet_cli.weights.registry import load_registry
from nsnet_cli.weights.rows import HubSource, NetworkUse, PackageSource, UrlSource
from nsnet_cli.weights.vocabulary import load_vocabulary

NETWORK = """
schema_version = 1
[networks.mine]
architecture = "resnet18"
license = "MIT"
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
interpolation = "bilinear"
crop = 0.9
vocabulary = ["cat", "dog"]
[[networks.mine.sources]]
kind = "hub"
repo_id = "me/mine"
revision = "0123456789012345678901234567890123456789"
file = "model.safetensors"
"""
CHECKPOINT = """
[checkpoints.my-pair]
description = "mine"
license = "MIT"
preview = { network = "mine", size_px = 96 }
recogniser = { network = "efficientnet-lite2", size_px = 192 }
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "weights.toml"
    path.write_text(text)
    return path


@pytest.fixture
def user_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def use(text: str) -> Path:
        path = write(tmp_path, text)
        monkeypatch.setenv("NSNET_WEIGHTS", str(path))
        return path

    return use


# ---- the shipped rows


def test_the_default_checkpoint_comes_from_installed_packages() -> None:
    row = load_registry().checkpoint("imagenet-lite")
    for network in row.networks:
        path, source = network_file(network)
        assert isinstance(source, PackageSource)
        assert sha256_of(path) == source.sha256
        assert path.stat().st_size == source.size_bytes


def test_the_preview_input_is_an_exact_mean_of_the_recognisers() -> None:
    row = load_registry().checkpoint("imagenet-lite")
    assert row.recogniser.size_px == 2 * row.preview.size_px


def test_sampler_rows_and_folders_agree() -> None:
    """The row has the sha256 of its sampler's model.safetensors. `python benchmarks/pin_sampler.py` writes it."""
    pinned = 0
    for row in load_registry().checkpoints.values():
        folder, _, _ = row_sampler(row)
        if folder is not None and row.origin == "nsnet" and row.sampler_sha256 is not None:
            assert row.sampler_sha256 == sha256_of(folder / MODEL_FILE), f"{row.name}: run benchmarks/pin_sampler.py"
            pinned += 1
    if not pinned:
        pytest.skip("no sampler is pinned yet: python benchmarks/pin_sampler.py")


@pytest.mark.torch
def test_hub_rows_fit_their_architecture_and_preprocessing() -> None:
    """timm has the same transform, and the file sizes fit the parameters and a header, no more."""
    import timm
    import torch
    from timm.models import get_pretrained_cfg

    seen = 0
    for row in load_registry().networks.values():
        for source in row.sources:
            if not isinstance(source, HubSource) or row.family != "timm":
                continue
            config = get_pretrained_cfg(source.repo_id.removeprefix("timm/"))
            assert config.architecture == row.architecture
            assert (config.mean, config.std, config.interpolation) == (row.mean, row.std, row.interpolation)
            assert config.crop_pct == row.crop
            assert config.license is None or config.license.lower() == row.license.lower()  # timm 1.0.20 names none
            if source.size_bytes is not None:
                with torch.device("meta"):
                    state = timm.create_model(row.architecture).state_dict()
                payload = sum(value.numel() * value.element_size() for value in state.values())
                assert payload < source.size_bytes < payload + 64 * len(state) * 4
                seen += 1
    assert seen >= 5


@pytest.mark.torch
def test_rows_of_actions_are_what_torchvision_says() -> None:
    """The same transform, tags in the same order, and the same address; a stride is that of its frames per second."""
    from torchvision.models import get_model_weights

    found = {row.architecture: row for row in load_registry().networks.values() if row.family == "torchvision"}
    assert found.keys() == {"mvit_v2_s", "swin3d_t"}
    for (architecture, row), fps in zip(found.items(), (7.5, 15), strict=True):
        weights = get_model_weights(architecture)["KINETICS400_V1"]
        transform, (source,) = weights.transforms(), row.sources
        assert (tuple(transform.mean), tuple(transform.std)) == (row.mean, row.std)
        assert transform.interpolation.value == row.interpolation
        assert row.crop == transform.crop_size[0] / transform.resize_size[0]
        assert [tag.name for tag in load_vocabulary(row.vocabulary)] == weights.meta["categories"]
        assert isinstance(source, UrlSource) and source.url == weights.url
        assert source.sha256.startswith(source.file.split("-")[1].split(".")[0])
        assert f"{source.size_bytes / 2**20:.3f}" == f"{weights.meta['_file_size']:.3f}"
        assert row.stride_s == pytest.approx(1 / fps, abs=1e-5)
        assert f"{weights.meta['_metrics']['Kinetics-400']['acc@1']} %" in row.published
        assert f"clip_len={row.frames}`" in weights.meta["_docs"].replace("`clip_len", "clip_len")


@pytest.mark.torch
def test_costs_of_rows_are_those_of_their_networks() -> None:
    from nsnet_cli.nets.flops import architecture_gflops

    for row in load_registry().checkpoints.values():
        assert row.gflops == pytest.approx(architecture_gflops(row.recogniser), rel=0.01), row.name


def test_rows_of_clips_say_that_they_were_never_run() -> None:
    clips = [row for row in load_registry().networks.values() if row.frames > 1]
    assert len(clips) == 4
    assert all(row.published and row.note == "never run on its published weights here" for row in clips)


def test_what_was_kept_before_there_were_families_stays_valid() -> None:
    """The identity of a network enters exports, features and results. It names the family only of later ones."""
    row = load_registry().networks["resnet50"]
    identity = network_identity(NetworkUse(row, 224))
    assert sha256(identity.encode()).hexdigest()[:16] == "659c9e122da11600"
    assert resolve_checkpoint("imagenet-lite").hash == "c8e87b765a4cc492"
    clips = replace(row, family="uniformer", frames=16, stride_s="spread")
    others = (clips, replace(clips, frames=8), replace(clips, stride_s=0.5), replace(clips, family="videomae2"))
    assert len({identity, *(network_identity(NetworkUse(other, 224)) for other in others)}) == 5


# ---- a user's own


def test_user_rows_are_added(user_registry) -> None:
    path = user_registry(NETWORK + CHECKPOINT)
    registry = load_registry()
    assert "imagenet-lite" in registry.checkpoints
    row = registry.checkpoint("my-pair")
    assert row.origin == str(path)
    assert load_vocabulary(row.preview.network.vocabulary) == (TagName("cat", "cat"), TagName("dog", "dog"))
    assert row.preview.network.sources[0].sha256 is None


def test_a_file_in_the_configuration_folder_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NSNET_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "nsnet").mkdir()
    write(tmp_path / "nsnet", NETWORK)
    if not (Path.home() / "Library").exists():  # macOS keeps it elsewhere
        assert "mine" in load_registry().networks


def test_a_missing_or_unfit_sampler_is_none_with_a_reason(user_registry) -> None:
    user_registry(NETWORK + CHECKPOINT)
    found = resolve_checkpoint("my-pair")
    assert found.sampler is None
    assert found.sampler_note == "no sampler is trained for mine"


def test_a_sampler_trained_on_other_features_is_not_used(user_registry, tmp_path: Path) -> None:
    import json

    folder = tmp_path / "sampler"
    folder.mkdir()
    config = {"schema_version": 1, "name": "s", "kind": "fixed-vocabulary", "vocabulary": "imagenet-1k"}
    config |= {"sampler": {"features": 512}}
    config |= {"preview": {"network": "resnet18", "size_px": 96}, "recogniser": {"network": "resnet50", "size_px": 192}}
    (folder / "config.json").write_text(json.dumps(config))
    user_registry(NETWORK + CHECKPOINT + 'sampler = "./sampler"\n')
    found = resolve_checkpoint("my-pair")
    assert found.sampler is None
    assert found.sampler_note == "its sampler is trained on resnet18, not on mine"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("crop = 0.9", "crop = 1.5", "networks.mine.crop: 1.5"),
        ("crop = 0.9", "crop_pct = 0.9", "networks.mine.crop_pct: unknown field"),
        ('license = "MIT"', "", "networks.mine.license: missing"),
        ("mean = [0.5, 0.5, 0.5]", "mean = [0.5, 0.5]", "networks.mine.mean"),
        ("std = [0.25, 0.25, 0.25]", "std = [0.25, 0, 0.25]", "networks.mine.std"),
        ('"bilinear"', '"lanczos"', "'lanczos' is not one of"),
        ('"0123456789012345678901234567890123456789"', '"main"', "sources[0].revision: 'main' is not a full revision"),
        ('kind = "hub"', 'kind = "ftp"', "sources[0].kind: 'ftp'"),
        ('"me/mine"', '"mine"', "sources[0].repo_id: 'mine'"),
        ('"model.safetensors"', '"pytorch_model.bin"', "may be a pickle"),
        ('"model.safetensors"', '"../model.safetensors"', "is not a path inside"),
        ('["cat", "dog"]', '["cat", "cat"]', "names a tag twice"),
        ("schema_version = 1", "schema_version = 2", "schema_version: 2"),
        ("[networks.mine]", "[networks.resnet50]", "networks.resnet50: nsnet has a row named 'resnet50'"),
        ('architecture = "resnet18"', "architecture = 18", "networks.mine.architecture: 18 is not text"),
        (
            'architecture = "resnet18"',
            'architecture = "hf-hub:me/mine"',
            "architecture: 'hf-hub:me/mine' is not the name",
        ),
        ('architecture = "resnet18"', 'architecture = "local-dir:/tmp/x"', "is not the name of an architecture"),
        ("[networks.mine]", '[networks."../../x"]', "networks: '../../x' is not a name"),
        ("[networks.mine]", '[networks.""]', "networks: '' is not a name"),
        ('"me/mine"', '"../.."', "repo_id: '../..' is not owner/name"),
        ('"model.safetensors"', '"a/./model.safetensors"', "is not a path inside"),
        ('"model.safetensors"', '"a\\u0000b.safetensors"', "is not a path inside"),
        ("crop = 0.9", 'crop = "wide"', "networks.mine.crop: 'wide' is not a number"),
        ("crop = 0.9", "crop = nan", "networks.mine.crop: nan is not between"),
        ("crop = 0.9", 'crop = 0.9\nfamily = "keras"', "networks.mine.family: 'keras' is not one of"),
        ("crop = 0.9", "crop = 0.9\nframes = 0", "networks.mine.frames: 0 is not between"),
        ("crop = 0.9", "crop = 0.9\nframes = 16\nstride_s = 1", "16, but the networks of timm look at single frames"),
        ("crop = 0.9", 'crop = 0.9\nfamily = "uniformer"\nframes = 16', "stride_s: 0.0 is not above 0"),
        ("crop = 0.9", "crop = 0.9\nstride_s = 1", "stride_s: 1.0 is not 0"),
        ("crop = 0.9", 'crop = 0.9\nstride_s = "wide"', "stride_s: 'wide' is neither seconds nor 'spread'"),
        ("mean = [0.5, 0.5, 0.5]", "mean = [0.5, 0.5, inf]", "networks.mine.mean[2]: inf is not between"),
        ('"bilinear"', '"nearest"', "'nearest' is not one of bilinear, bicubic, area"),
        ('kind = "hub"', 'kind = "hub"\nsize_bytes = 0x' + "f" * 5000, "size_bytes: a number too long to show"),
    ],
)
def test_mistakes_are_named(user_registry, old: str, new: str, named: str) -> None:
    assert old in NETWORK
    path = user_registry(NETWORK.replace(old, new))
    with pytest.raises(WeightsError) as raised:
        load_registry()
    assert named in raised.value.message
    assert str(path) in raised.value.message
    assert raised.value.kind == "bad_registry"


def test_a_checkpoint_of_an_unknown_network(user_registry) -> None:
    user_registry("schema_version = 1\n" + CHECKPOINT)
    with pytest.raises(WeightsError, match=r"checkpoints.my-pair.preview.network: 'mine' is not a row"):
        load_registry()


def test_a_registry_that_is_missing_or_not_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSNET_WEIGHTS", str(tmp_path / "none.toml"))
    with pytest.raises(WeightsError, match=r"none.toml"):
        load_registry()
    monkeypatch.setenv("NSNET_WEIGHTS", str(write(tmp_path, "networks = [")))
    with pytest.raises(WeightsError) as raised:
        load_registry()
    assert "NSNET_WEIGHTS" in (raised.value.hint or "")


# ---- vocabularies


def test_imagenets_vocabulary() -> None:
    tags = load_vocabulary("imagenet-1k")
    assert len(tags) == 1000
    assert tags[281] == TagName("n02123045", "tabby")


def test_a_vocabulary_file_relative_to_its_registry(user_registry, tmp_path: Path) -> None:
    (tmp_path / "tags.txt").write_text("c1\ttabby cat\ndog\n\n")
    (tmp_path / "tags.json").write_text('["cat", {"id": "d", "name": "dog"}]')
    user_registry(NETWORK.replace('["cat", "dog"]', '"tags.txt"'))
    tags = load_vocabulary(load_registry().networks["mine"].vocabulary)
    assert tags == (TagName("c1", "tabby cat"), TagName("dog", "dog"))
    assert load_vocabulary(str(tmp_path / "tags.json")) == (TagName("cat", "cat"), TagName("d", "dog"))


def test_vocabulary_files_that_cannot_be_used(tmp_path: Path) -> None:
    twice, empty = tmp_path / "twice.txt", tmp_path / "empty.txt"
    twice.write_text("cat\ndog\ncat\n")
    empty.write_text("\n")
    for path, words in ((twice, "has 'cat' twice"), (empty, "is empty"), (tmp_path / "none.txt", "cannot read")):
        with pytest.raises(WeightsError, match=words):
            load_vocabulary(str(path))


# ---- any timm classifier by its row alone


@pytest.mark.parametrize(
    ("architecture", "size_px"),
    [
        ("mobilenetv3_small_050", 96),
        ("resnet10t", 96),
        ("convnext_atto", 96),
        ("regnetx_002", 96),
        ("vit_tiny_patch16_224", 224),
    ],
)
@pytest.mark.torch
def test_features_and_logits_of_a_row_are_timms(user_registry, architecture: str, size_px: int) -> None:
    """The network's own forward gives the same numbers with the row's mean and std."""
    import torch

    from nsnet_cli.nets.networks import Classifier, create_network

    user_registry(NETWORK.replace("resnet18", architecture))
    use = NetworkUse(load_registry().networks["mine"], size_px)
    net = create_network(use).eval()
    pixels = torch.randint(0, 256, (2, size_px, size_px, 3), dtype=torch.uint8)
    with torch.no_grad():
        features, logits = Classifier(net, use.input).eval()(pixels)
        wanted = net((pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25)
    assert features.ndim == 2
    assert logits.shape == (2, 2)
    assert torch.allclose(logits, wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("architecture", "named"),
    [
        ("resnet5O", "Unknown model"),
        ("deit_tiny_distilled_patch16_224", "several heads"),
        ("vit_tiny_patch16_224", "cannot run at 96 px"),
    ],
)
@pytest.mark.torch
def test_architectures_that_cannot_be_used(user_registry, architecture: str, named: str) -> None:
    from nsnet_cli.nets.networks import create_network

    user_registry(NETWORK.replace("resnet18", architecture))
    with pytest.raises(WeightsError, match=named):
        create_network(NetworkUse(load_registry().networks["mine"], 96))
