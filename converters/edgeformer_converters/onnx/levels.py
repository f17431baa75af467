"""How many layers get row scales (see row_scales.py), cheapest first. Apart, so that plans need no ONNX package."""

LEVELS = ("none", "down", "feed_forward", "all")
DEFAULT_LEVEL = "down"
# Below it, x / r would overflow float16. A token whose values are all smaller keeps its own, tiny, resolution.
SMALLEST = 2.0**-14
