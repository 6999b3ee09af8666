"""The rows of weights.toml: networks, checkpoints and where files come from. Frozen data; nothing here reads a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nsnet_cli.errors import WeightsError
from nsnet_cli.media import InputSpec, Interpolation
from nsnet_cli.types import TagName

Keys = Literal["timm", "efficientnet-pytorch"]


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
    """A file of a Hugging Face Hub repository at a full revision. sha256 None = not known, pinned at first download."""

    repo_id: str
    revision: str
    file: str
    sha256: str | None = None
    size_bytes: int | None = None
    keys: Keys = "timm"


Source = PackageSource | HubSource


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """A classifier: timm architecture, preprocessing and where its weights come from, best source first."""

    name: str
    architecture: str
    license: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Interpolation
    crop: float
    vocabulary: str | tuple[TagName, ...] | None
    """What the outputs of its own classifier stand for: 'imagenet-1k', the absolute path of a file of names, or the
    tags (`load_vocabulary` takes all three). None: nobody has named them."""
    sources: tuple[Source, ...]
    origin: str = "nsnet"
    """'nsnet' for a shipped row, else the file that it comes from."""


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """A network at an input size."""

    network: NetworkRow
    size_px: int

    @property
    def input(self) -> InputSpec:
        """What the network looks at once: one frame, as every timm classifier does."""
        row = self.network
        return InputSpec(self.size_px, row.crop, row.interpolation, row.mean, row.std)


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """Preview network + sampler + recogniser. `sampler` None: none is trained for this preview network."""

    name: str
    description: str
    license: str
    preview: NetworkUse
    recogniser: NetworkUse
    sampler: str | None
    """A folder of nsnet_cli/checkpoints by name, or the absolute path of a checkpoint folder."""
    frames: int
    sampler_sha256: str | None = None
    """Of the sampler folder's model.safetensors."""
    origin: str = "nsnet"

    @property
    def networks(self) -> tuple[NetworkRow, ...]:
        """The network rows this checkpoint needs, each once."""
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
