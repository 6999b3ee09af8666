"""Checkpoints: from the name that a user gives to everything that tagging needs.

A checkpoint folder has three files:

- config.json: the registry names of the networks, sampler, vocabulary, sampling settings, training data, metrics
- model.safetensors: `sampler.*`; for a vocabulary of your own also `head.weight` (C, D2) and `head.bias` (C,), which
  turn the recogniser's features into tags
- README.md: the model card
- recogniser.safetensors: the recogniser's weights, if it was fine-tuned

No torch here: `nsnet tag` imports this module.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nsnet_cli.atomic import write_whole
from nsnet_cli.calibration import SIGNS, Calibration
from nsnet_cli.errors import UsageError, WeightsError
from nsnet_cli.hierarchy import Table, imagenet_table, table_for
from nsnet_cli.records import dataclass
from nsnet_cli.types import TagName
from nsnet_cli.weights.fields import Place, check, read_json, regular_size, shown
from nsnet_cli.weights.heads import Head, LinearHead, OwnClassifier
from nsnet_cli.weights.identity import network_identity
from nsnet_cli.weights.keys import HINT, check_tensors
from nsnet_cli.weights.memory import remembered_sha256, sha256_of
from nsnet_cli.weights.registry import PACKAGE_DIR, load_registry
from nsnet_cli.weights.rows import CheckpointRow, NetworkUse, Registry
from nsnet_cli.weights.schema import CALIBRATION, CONFIG, CONFIG_BYTES, MODEL_BYTES
from nsnet_cli.weights.text_head import TextHead
from nsnet_cli.weights.tuned import tuned_use
from nsnet_cli.weights.vocabulary import checked_vocabulary, load_vocabulary
from nsnet_cli.weights.wordlist import WordList, word_list, words_named

if TYPE_CHECKING:
    import numpy as np  # not at run time: decode workers must be started before there is time to import it

CHECKPOINT_SCHEMA = 1
HASHED_EACH_TIME_BYTES = 8 << 20
"""A model.safetensors up to this size is hashed at each start (some ms), a larger one if its stamp has changed."""
CONFIG_FILE, MODEL_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
READY_FEATURES = "features:"
"""Prefix for a file's name in place of a network, if the training features came from an unknown network."""
Kind = Literal["fixed-vocabulary", "own-vocabulary"]
"""The head as named in config.json: the recogniser's own classifier, or a linear head for the user's tags."""
OWN_VOCABULARY: Kind = "own-vocabulary"
ANY_WORDS = "use one such as --checkpoint siglip2-b32; nsnet models list shows them"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything a run needs to know about a checkpoint. No weights are loaded yet."""

    name: str
    hash: str
    """16 hex digits over everything that can change a result: networks, sampler and head."""
    license: str
    preview: NetworkUse
    recogniser: NetworkUse
    sampler: Path | None
    """The folder with config.json and model.safetensors; None: no sampler is trained for this preview network."""
    head: Head
    """Turns the recogniser's features and logits into scores of tags."""
    frames: int = 4
    """The K that the checkpoint was made for."""
    preview_frames: int = 128
    """The most preview frames, T."""
    sampler_config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    training: Mapping[str, Any] = field(default_factory=dict, hash=False)
    metrics: Mapping[str, Any] = field(default_factory=dict, hash=False)
    sampler_note: str | None = None
    """Why `sampler` is None."""
    model_sha256: str = ""
    """The sha256 of the sampler folder's model.safetensors."""
    calibration: Calibration | None = field(default=None, hash=False)
    """Turns scores into probabilities; None: `nsnet calibrate` has not run for these networks."""
    table: Table = field(default_factory=imagenet_table, hash=False)
    """What stands over the tags."""
    spec: str = field(default="", compare=False)
    """What it was asked for as: a name, a folder, or hub:owner/name@revision."""

    @property
    def vocabulary(self) -> tuple[TagName, ...]:
        return self.head.vocabulary


def resolve_checkpoint(spec: str, registry: Registry | None = None, words: WordList | None = None) -> Checkpoint:
    """The checkpoint that `spec` names: a row of weights.toml, a local folder, or hub:owner/name@revision.

    Downloads a Hub folder that is not here. `words` are those that an image-text checkpoint looks for; None: its own.
    Raises WeightsError, and UsageError for words that it cannot look for.
    """
    found = replace(_resolved(spec, registry or load_registry(), words), spec=spec)
    if words is not None and not isinstance(found.head, TextHead):
        raise UsageError(
            f"--tags, --tags-file and --prompts need a checkpoint for any words; {spec} is none", ANY_WORDS
        )
    return found


def _resolved(spec: str, registry: Registry, words: WordList | None) -> Checkpoint:
    if spec.startswith("hub:"):
        from nsnet_cli.weights.hubspec import checkpoint_folder

        return read_checkpoint(checkpoint_folder(spec), registry, words)
    if spec in registry.checkpoints:
        return _from_row(registry.checkpoints[spec], words)
    if Path(spec).is_dir():
        return read_checkpoint(Path(spec), registry, words)
    if os.sep in spec or spec.startswith("."):
        raise WeightsError(f"no checkpoint folder {spec}", "nsnet train writes one; nsnet models list shows names")
    return _from_row(registry.checkpoint(spec), words)


def read_checkpoint(folder: Path, registry: Registry | None = None, words: WordList | None = None) -> Checkpoint:
    """The checkpoint in a folder. Raises WeightsError with the file and field that is missing or wrong."""
    registry = registry or load_registry()
    config = read_config(folder)
    preview, recogniser = (_network_use(folder, config, key, registry) for key in ("preview", "recogniser"))
    sha256 = _model_sha256(folder, config)
    _check_fit(folder, config, recogniser)
    head = _head(folder, config, sha256, recogniser, words)
    calibration = _calibration(folder, config, preview, recogniser)
    return Checkpoint(
        name=config["name"],
        hash=_hash(preview, recogniser, head, config, sha256),
        license=config["license"],
        preview=preview,
        recogniser=recogniser,
        sampler=folder,
        head=head,
        frames=config["sampling"]["frames"],
        preview_frames=config["sampling"]["preview"],
        sampler_config=config["sampler"],
        training=config["training"],
        metrics=config["metrics"],
        model_sha256=sha256,
        calibration=calibration,
        table=table_for(head.vocabulary, config["hierarchy"]),
    )


def _from_row(row: CheckpointRow, words: WordList | None) -> Checkpoint:
    """The checkpoint of a registry row. Its sampler is a checkpoint folder."""
    folder, config, note = row_sampler(row)
    head: Head = OwnClassifier(load_vocabulary(row.recogniser.network.vocabulary))
    if row.recogniser.network.image_text:
        head = TextHead(words or word_list(), row.recogniser)
    sha256 = _model_sha256(folder, config) if folder else ""
    if folder and row.sampler_sha256 and sha256 != row.sampler_sha256:
        raise WeightsError(
            f"{folder / MODEL_FILE} has sha256 {sha256}, the row of {row.name} says {row.sampler_sha256}",
            "reinstall nsnet" if row.origin == "nsnet" else f"correct {row.origin}",
            "hash_mismatch",
        )
    if folder and not (
        row.origin == "nsnet" and row.sampler_sha256
    ):  # shipped samplers were checked when they were made
        _check_fit(folder, config, None)
    return Checkpoint(
        name=row.name,
        hash=_hash(row.preview, row.recogniser, head, config, sha256),
        license=row.license,
        preview=row.preview,
        recogniser=row.recogniser,
        sampler=folder,
        head=head,
        frames=row.frames,
        preview_frames=max(row.frames, config["sampling"]["preview"] if folder else 128),
        sampler_config=config.get("sampler", {}),
        training=config.get("training", {}),
        metrics=config.get("metrics", {}),
        sampler_note=note,
        model_sha256=sha256,
        calibration=_calibration(folder, config, row.preview, row.recogniser) if folder else None,
        table=table_for(head.vocabulary),
    )


def row_sampler(row: CheckpointRow) -> tuple[Path | None, dict[str, Any], str | None]:
    """(folder, config, None) for the row's sampler, or (None, {}, why there is no fitting one)."""
    used = row.preview.network.name
    if row.sampler is None:
        return None, {}, f"no sampler is trained for {used}"
    folder = PACKAGE_DIR / "checkpoints" / row.sampler  # an absolute path stays as it is
    if not (folder / CONFIG_FILE).is_file():
        return None, {}, f"its sampler is not installed: {folder}"
    config = read_config(folder)
    trained = config["preview"]["network"]
    if trained != used:
        return None, {}, f"its sampler is trained on {trained}, not on {used}"
    return folder, config, None


# ---- reading --------------------------------------------------------------------------------------------------------


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a checkpoint folder, checked, with defaults filled in. Raises WeightsError."""
    path = folder / CONFIG_FILE
    try:
        config = read_json(path, CONFIG_BYTES)
    except FileNotFoundError:
        raise WeightsError(
            f"{folder} is not a checkpoint: it has no {CONFIG_FILE}", "nsnet train writes checkpoints"
        ) from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read {path}: {error}", HINT, "bad_config") from error
    place = Place(str(path), HINT, "bad_config")
    version = config.get("schema_version") if isinstance(config, dict) else None
    if isinstance(version, int) and version > CHECKPOINT_SCHEMA:
        message = f"{path}: schema_version {shown(version)}; this nsnet reads {CHECKPOINT_SCHEMA}"
        raise WeightsError(message, "update nsnet", "bad_config")
    checked: dict[str, Any] = check(config, CONFIG, place)
    sampler = checked["sampler"]
    if sampler["hidden"] % (2 * sampler["heads"]):
        why = f"{sampler['hidden']} is not a multiple of 2 x heads = {2 * sampler['heads']}"
        raise place.inside("sampler", "hidden").wrong(why)
    if checked["sampling"]["frames"] > checked["sampling"]["preview"]:
        frames, preview = checked["sampling"]["frames"], checked["sampling"]["preview"]
        raise place.inside("sampling", "frames").wrong(f"{frames} is more than the {preview} preview frames")
    return {**checked, "vocabulary": checked_vocabulary(checked["vocabulary"], place.inside("vocabulary"))}


def _head(folder: Path, config: Mapping[str, Any], sha256: str, recogniser: NetworkUse, words: WordList | None) -> Head:
    """The head that a config.json describes with `kind`, `vocabulary` and `multi_label`."""
    vocabulary, multi_label = config["vocabulary"], config["multi_label"]
    if config["kind"] == OWN_VOCABULARY:
        return LinearHead(vocabulary, multi_label, folder / MODEL_FILE, sha256)
    if recogniser.network.image_text:
        return TextHead(words or words_named(tag.name for tag in vocabulary), recogniser)
    return OwnClassifier(vocabulary, multi_label)


def _calibration(
    folder: Path, config: Mapping[str, Any], preview: NetworkUse, recogniser: NetworkUse
) -> Calibration | None:
    """The calibration of a config.json, if it was fitted for these two networks and uses signs that are known."""
    if config["calibration"] is None:
        return None
    place = Place(str(folder / CONFIG_FILE), HINT, "bad_config", ("calibration",))
    found = Calibration.from_json(check(config["calibration"], CALIBRATION, place))
    named = [(config[key]["network"], config[key]["size_px"]) for key in ("preview", "recogniser")]
    used = [(use.network.name, use.size_px) for use in (preview, recogniser)]
    return found if named == used and set(found.signs) <= set(SIGNS) else None


def _network_use(folder: Path, config: Mapping[str, Any], key: str, registry: Registry) -> NetworkUse:
    name, size = config[key]["network"], config[key]["size_px"]
    place = Place(str(folder / CONFIG_FILE), HINT, "bad_config", (key,))
    if name.startswith(READY_FEATURES):
        raise WeightsError(
            f"{folder} cannot tag videos: it was trained on the ready features {name.removeprefix(READY_FEATURES)},"
            " and no network of weights.toml makes them",
            "train on videos, or on features from a checkpoint's networks",
        )
    if name not in registry.networks:
        known = ", ".join(registry.networks)
        raise place.inside("network").wrong(f"{shown(name)} is not a network of weights.toml; known: {known}")
    if size < 16:
        raise place.inside("size_px").wrong(f"{size} is not between 16 and 4096")
    return tuned_use(NetworkUse(registry.networks[name], size), folder, config[key].get("sha256"))


def _check_fit(folder: Path, config: Mapping[str, Any], recogniser: NetworkUse | None) -> None:
    """Checks that vocabulary, sampler and weights of a folder fit each other and the recogniser."""
    place, tags = Place(str(folder / CONFIG_FILE), HINT, "bad_config"), len(config["vocabulary"])
    own = config["kind"] == OWN_VOCABULARY
    if (classes := config["sampler"]["classes"]) != (tags if own else 0):
        why = f"{classes}, but the {config['kind']} of {tags} tags needs {tags if own else 0}"
        raise place.inside("sampler", "classes").wrong(why)
    if not own and recogniser and not recogniser.network.image_text:
        network, outputs = recogniser.network, len(load_vocabulary(recogniser.network.vocabulary))
        if not outputs:
            why = f"the row networks.{network.name} has no vocabulary, and kind {config['kind']} needs its tags"
            raise place.inside("recogniser", "network").wrong(why)
        if tags != outputs:
            raise place.inside("vocabulary").wrong(f"{tags} tags, but {network.name} has {outputs} outputs")
    check_tensors(folder / MODEL_FILE, config["sampler"], tags=tags if own else None)


def _model_sha256(folder: Path, config: Mapping[str, Any]) -> str:
    """Hash of model.safetensors. If config.json has one, it must be the same: a half-copied folder is noticed."""
    path = folder / MODEL_FILE
    try:
        big = regular_size(path, MODEL_BYTES) > HASHED_EACH_TIME_BYTES
        found = remembered_sha256(path) if big else sha256_of(path)
    except (OSError, ValueError) as error:
        message = f"{folder} is not a complete checkpoint: {path}: {error}"
        raise WeightsError(message, "train or download it again") from error
    wanted = config["model_sha256"]
    if wanted and wanted != found:
        raise WeightsError(f"{path} has sha256 {found}, {CONFIG_FILE} says {wanted}", "train or download it again")
    return found


def _hash(preview: NetworkUse, recogniser: NetworkUse, head: Head, config: Mapping[str, Any], model_sha256: str) -> str:
    networks = [network_identity(preview), network_identity(recogniser)]
    parts = [*networks, config.get("sampler", {}), model_sha256, head.identity]
    parts += [config[key] for key in ("calibration", "hierarchy") if config.get(key)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


# ---- writing --------------------------------------------------------------------------------------------------------


def write_checkpoint(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], card: str) -> None:
    """Writes a checkpoint folder, each file completely or not at all. Raises WeightsError."""
    import numpy as np
    from safetensors.numpy import save

    model = save({key: np.ascontiguousarray(tensors[key]) for key in sorted(tensors)})
    full = {"schema_version": CHECKPOINT_SCHEMA, **config, "model_sha256": hashlib.sha256(model).hexdigest()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / MODEL_FILE, model)
        write_whole(folder / CARD_FILE, card.encode())
        write_whole(folder / CONFIG_FILE, (json.dumps(full, indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise WeightsError(f"cannot write the checkpoint {folder}: {error}", "choose another folder with -o") from error
