"""Networks that look at clips: UniFormer and VideoMAE V2 of our own, and torchvision's video models.

Small variants are for tests: they are made and exported in a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from nsnet_cli.errors import WeightsError
from nsnet_cli.nets.networks import ViewNetwork, fill, network_state
from nsnet_cli.weights.obtain import network_file
from nsnet_cli.weights.rows import NetworkUse
from nsnet_cli.weights.vocabulary import load_vocabulary

Build = Callable[[NetworkUse, int], nn.Module]
"""Makes an untrained network of so many classes: x (N, 3, F, S, S), normalised -> features (N, D), logits (N, C)."""


class ClipNetwork(ViewNetwork):
    """A network of clips with its preprocessing: views (N, F, S, S, 3) uint8 -> features (N, D), logits (N, C)."""

    def __init__(self, net: nn.Module, use: NetworkUse) -> None:
        head: Any = net.head
        super().__init__(net, use.input, int(head.weight.shape[1]))
        # In half precision UniFormer keeps other tokens, and its answers change.
        self.takes_half = use.network.family != "uniformer"

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        x = views.permute(0, 4, 1, 2, 3).float()  # (N, 3, F, S, S)
        features, logits = self.net((x - self.mean) / self.std)
        return features, logits


class TorchvisionNetwork(nn.Module):
    """One of torchvision's video models, which also gives what enters its last layer. Parameters keep their names."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net
        self.head = last_layer(net)
        setattr(net, "head" if hasattr(net, "head") else "classifier", nn.Identity())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.net(x)
        if isinstance(self.head, nn.Linear):
            return features, self.head(features)
        # S3D classifies each place and then takes the mean. That is the same as classifying the mean.
        return features, self.head(features[:, :, None, None, None]).flatten(1)


def last_layer(net: Any) -> nn.Module:
    """The layer that gives the logits. In front of it there may be dropout, which does nothing here."""
    head = net.head if hasattr(net, "head") else net.classifier
    layer: nn.Module = head[-1] if isinstance(head, nn.Sequential) else head
    return layer


# ---- making them ----------------------------------------------------------------------------------------------------


def load_clips(use: NetworkUse) -> ViewNetwork:
    """Returns the network of a row with its weights, in eval mode. Raises WeightsError if its file does not fit."""
    path, source = network_file(use.network)
    state = network_state(path, source)
    return _network(use, len(load_vocabulary(use.network.vocabulary)) or _classes(state), state, path)


def untrained_clips(use: NetworkUse) -> ViewNetwork:
    """Returns the network of a row without weights, in eval mode. Raises WeightsError if it cannot be made."""
    return _network(use, len(load_vocabulary(use.network.vocabulary)) or 1, None, None)


def _network(use: NetworkUse, classes: int, state: Mapping[str, Tensor] | None, path: Any) -> ViewNetwork:
    row = use.network
    known = ARCHITECTURES[row.family]
    if row.architecture not in known:
        hint = f"known: {', '.join(known)}"
        raise WeightsError(
            f"the row of {row.name}: {row.family} has no architecture {row.architecture!r}", hint, "bad_registry"
        )
    _check_input(use)
    net = known[row.architecture](use, classes)
    if state is not None:
        fill(net, state, path, row)
    if row.family == "torchvision":
        net = TorchvisionNetwork(net)
    return ClipNetwork(net, use).eval()


def _classes(state: Mapping[str, Tensor]) -> int:
    """How many classes a file is for, from the bias of its last layer. For rows without a vocabulary."""
    return next((len(value) for key, value in reversed(list(state.items())) if key.endswith("bias")), 1)


def _check_input(use: NetworkUse) -> None:
    """Raises WeightsError for clips that an architecture cannot take."""
    row, size_px = use.network, use.size_px
    frames, multiple, exact = INPUTS.get(row.architecture, (2, 32, 0))
    if row.frames % frames or row.frames < 2 or (exact and size_px != exact) or size_px % multiple:
        wants = f"{exact} px" if exact else f"a multiple of {multiple} px"
        raise WeightsError(
            f"{row.name} ({row.architecture}) cannot take {row.frames} frames of {size_px} px",
            f"it takes {wants}, and a multiple of {frames} frames",
            "bad_registry",
        )


INPUTS = {
    "s3d": (16, 32, 224),
    "mvit_v2_s": (16, 32, 224),
    "mvit_small": (4, 32, 32),
}
"""What clips must be: frames a multiple of the first, side a multiple of the second, or equal to the third."""


def _uniformer(use: NetworkUse, classes: int) -> nn.Module:
    from nsnet_cli.nets import uniformer

    return uniformer.create(classes)


def _small_uniformer(use: NetworkUse, classes: int) -> nn.Module:
    from nsnet_cli.nets import uniformer

    return uniformer.UniFormer(classes, widths=(28, 28, 56, 84), depths=(1, 1, 2, 1))


def _videomae(width: int, depth: int, heads: int) -> Build:
    def build(use: NetworkUse, classes: int) -> nn.Module:
        from nsnet_cli.nets import videomae

        return videomae.VideoMAE(classes, width, depth, heads, use.network.frames, use.size_px)

    return build


def _torchvision(use: NetworkUse, classes: int) -> nn.Module:
    import torchvision.models.video

    build = getattr(torchvision.models.video, use.network.architecture)
    net: nn.Module = build(weights=None, num_classes=classes)
    return net


def _mvit(use: NetworkUse, classes: int) -> nn.Module:
    from nsnet_cli.nets.mvit import with_plain_attention

    return with_plain_attention(_torchvision(use, classes))


def _small_swin(use: NetworkUse, classes: int) -> nn.Module:
    from torchvision.models.video.swin_transformer import SwinTransformer3d

    net: nn.Module = SwinTransformer3d([2, 4, 4], 12, [1, 1], [2, 4], [4, 7, 7], num_classes=classes)
    return net


def _small_mvit(use: NetworkUse, classes: int) -> nn.Module:
    from torchvision.models.video.mvit import MSBlockConfig, MViT

    from nsnet_cli.nets.mvit import with_plain_attention

    q, kv = [1, 2, 2], [1, 1, 1]
    blocks = [
        MSBlockConfig(2, 16, 32, [3, 3, 3], [3, 3, 3], q, kv),
        MSBlockConfig(2, 32, 32, [3, 3, 3], [3, 3, 3], kv, kv),
    ]
    net = MViT(
        (32, 32), use.network.frames, blocks, residual_pool=True, residual_with_cls_embed=False, rel_pos_embed=True,
        proj_after_attn=True, num_classes=classes,
    )  # fmt: skip
    return with_plain_attention(net)


ARCHITECTURES: Mapping[str, Mapping[str, Build]] = {
    "uniformer": {"uniformer_xxs": _uniformer, "uniformer_small": _small_uniformer},
    "videomae2": {"videomae2_vit_s": _videomae(384, 12, 6), "videomae2_small": _videomae(24, 2, 2)},
    "torchvision": {
        "mvit_v2_s": _mvit,
        "swin3d_t": _torchvision,
        "s3d": _torchvision,
        "swin3d_small": _small_swin,
        "mvit_small": _small_mvit,
    },
}
"""By family: the architectures that a row may name."""
