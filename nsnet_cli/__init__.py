"""nsnet: tag video files with non-saliency suppression sampling (NSNet, ECCV 2022)."""

__version__ = "0.1.0"
