"""nsnet: tag video files with non-saliency suppression sampling (NSNet, ECCV 2022).

The names in __all__ are the library. Each is imported on first use, and importing nsnet_cli changes nothing in the
program that imports it.

    import nsnet_cli

    for result in nsnet_cli.tag_videos(["videos"], top_k=3):
        print(result.path, [tag.name for tag in result.tags])
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nsnet_cli.errors import (
        DeviceError,
        LostVideosError,
        NoInputError,
        NsnetError,
        OutputError,
        UsageError,
        VideoError,
        WeightsError,
    )
    from nsnet_cli.run.tagging import tag_videos
    from nsnet_cli.tagger import Tagger
    from nsnet_cli.types import TagOptions, VideoResult

__version__ = "0.1.0"
__all__ = [
    "DeviceError",
    "LostVideosError",
    "NoInputError",
    "NsnetError",
    "OutputError",
    "TagOptions",
    "Tagger",
    "UsageError",
    "VideoError",
    "VideoResult",
    "WeightsError",
    "__version__",
    "tag_videos",
]
_HOMES = {"tag_videos": "run.tagging", "Tagger": "tagger", "TagOptions": "types", "VideoResult": "types"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
