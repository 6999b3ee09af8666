"""nsnet: tag video files with non-saliency suppression sampling (NSNet, ECCV 2022)."""

import sys

# OpenVINO reports each of its imports to Google Analytics, through a fork of this process, unless this is missing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

__version__ = "0.1.0"
