"""The rows of weights.toml as frozen data: networks, checkpoints and the sources of files. Reads no files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from nsnet_cli.errors import WeightsError
from nsnet_cli.media import InputSpec, Interpolation
from nsnet_cli.records import dataclass
from nsnet_cli.types import TagName

Keys = Literal["timm", "efficientnet-pytorch"]
FAMILIES = ("timm", "uniformer", "videomae2", "torchvision", "siglip", "clip")
"""What can build a network from its row. `nets/families.py` has the code, and needs torch."""
IMAGE_TEXT = ("siglip", "clip")
"""Families with an image tower and a text tower. Their tags are the words that a user names."""
VOCABULARIES = ("imagenet-1k", "kinetics-400", "kinetics-400-sorted", "kinetics-710")
"""Vocabularies that have a name. `weights/vocabulary.py` has their tags."""


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A file inside an installed Python package."""

    distribution: str
    module: str
    file: str
    sha256: str
    size_bytes: int | None = None
    keys: Keys = "timm"


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file of a Hugging Face Hub repository at a full revision.

    sha256 None: not known. The file is then pinned when it is first downloaded.
    """

    repo_id: str
    revision: str
    file: str
    sha256: str | None = None
    size_bytes: int | None = None
    keys: Keys = "timm"


@dataclass(frozen=True, slots=True)
class UrlSource:
    """A file at an https address. Its hash must be known: nothing else says that it has not changed."""

    url: str
    sha256: str
    size_bytes: int | None = None
    keys: Keys = "timm"

    @property
    def file(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]

    @property
    def host(self) -> str:
        return self.url.split("/")[2]


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A file in a checkpoint folder: the weights of a network that was fine-tuned."""

    path: Path
    sha256: str
    size_bytes: int | None = None
    keys: Keys = "timm"

    @property
    def file(self) -> str:
        """The file's name."""
        return self.path.name


Source = PackageSource | HubSource | UrlSource | FolderSource


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """A network: family and architecture, preprocessing, and the sources of its weights, best first."""

    name: str
    architecture: str
    license: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Interpolation
    crop: float
    vocabulary: str | tuple[TagName, ...] | None
    """The tags of its own classifier's outputs. None: they have no names.

    One of VOCABULARIES, the absolute path of a file of names, or the tags themselves. `load_vocabulary` takes all.
    """
    sources: tuple[Source, ...]
    origin: str = "nsnet"
    """'nsnet' for a shipped row, else the file of the row."""
    family: str = "timm"
    """One of FAMILIES."""
    frames: int = 1
    """F: frames per view."""
    stride_s: float | Literal["spread"] = 0.0
    """As in `InputSpec`."""
    tokenizer: tuple[Source, ...] = ()
    """Where the tokenizer.json of the text tower is. Only of the family siglip: CLIP's comes with open_clip."""
    published: str | None = None
    """The accuracy that its authors state, and with how many views."""
    note: str | None = None
    """What a user should know of it, such as that it was never tried."""

    @property
    def image_text(self) -> bool:
        return self.family in IMAGE_TEXT


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """A network at an input size."""

    network: NetworkRow
    size_px: int

    @property
    def input(self) -> InputSpec:
        """What the network sees at once: a frame or a clip."""
        row = self.network
        return InputSpec(self.size_px, row.crop, row.interpolation, row.mean, row.std, row.frames, row.stride_s)


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """Preview network, sampler and recogniser. `sampler` None: none is trained for this preview network."""

    name: str
    description: str
    license: str
    preview: NetworkUse
    recogniser: NetworkUse
    sampler: str | None
    """The name of a folder in nsnet_cli/checkpoints, or the absolute path of a checkpoint folder."""
    frames: int
    sampler_sha256: str | None = None
    """The sha256 of the sampler folder's model.safetensors."""
    origin: str = "nsnet"
    gflops: float | None = None
    """What one view costs the recogniser."""

    @property
    def networks(self) -> tuple[NetworkRow, ...]:
        """The network rows that this checkpoint needs, without duplicates."""
        return tuple(dict.fromkeys((self.preview.network, self.recogniser.network)))


@dataclass(frozen=True, slots=True)
class Registry:
    networks: Mapping[str, NetworkRow]
    checkpoints: Mapping[str, CheckpointRow]

    def checkpoint(self, name: str) -> CheckpointRow:
        try:
            return self.checkpoints[name]
        except KeyError:
            known = ", ".join(self.checkpoints)
            raise WeightsError(
                f"no checkpoint named {name!r}", f"known: {known}; see nsnet models list", "unknown_checkpoint"
            ) from None
