"""The networks and what runs them."""

import sys

# Where OpenVINO finds this package it reports each conversion to its makers, unasked. nsnet sends nothing to anybody.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
