"""How many layers get row scales (see row_scales.py), cheapest first. Apart, so that plans need no ONNX package."""

LEVELS = ("none", "down", "feed_forward", "all")
DEFAULT_LEVEL = "down"
