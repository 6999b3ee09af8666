"""The networks and what runs them."""

import sys

# OpenVINO reports each conversion to its makers, without asking, where it finds this package. nsnet sends nothing to anybody.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
