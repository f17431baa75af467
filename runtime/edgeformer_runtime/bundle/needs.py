"""What a variant asks of an engine beyond its file, as an exporter said it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple, Union

from ..errors import RuntimeBundleError
from ..files.typed_json import decode


@dataclass(frozen=True)
class ShapeProfile:
    """The smallest, usual and largest shape of an input."""

    min: Tuple[int, ...]
    opt: Tuple[int, ...]
    max: Tuple[int, ...]


@dataclass(frozen=True)
class TensorRTNeeds:
    """For an engine that is built on the device. None: the device decides."""

    precision: Optional[str] = None  # "fp16": half precision where the graph leaves types open
    profiles: Mapping[str, ShapeProfile] = field(default_factory=dict)  # by input
    workspace_bytes: Optional[int] = None  # that building may take
    dla_core: Optional[int] = None  # 0 or 1: the accelerator core to run on

    def __post_init__(self) -> None:
        for name, right, expected in (
            ("precision", self.precision in (None, "fp16", "fp32"), "null, 'fp16' or 'fp32'"),
            ("workspace_bytes", self.workspace_bytes is None or self.workspace_bytes >= 1, "null or at least 1"),
            ("dla_core", self.dla_core in (None, 0, 1), "null, 0 or 1"),
        ):
            if not right:
                got = f"{getattr(self, name)!r:.80}"
                raise RuntimeBundleError(f"tensorrt.{name} {got}: expected {expected}", code="manifest")


@dataclass(frozen=True)
class LocalAttentionNeeds:
    """What a native kernel has to cover to stand in for the graph's portable local attention."""

    head_dims: Tuple[int, ...]
    dtype: str
    kernel_version: int


@dataclass(frozen=True)
class FullAttention:
    """Below how many positions a layer's local attention is full, and whose length decides.

    ``decided_by``: "input", its own length; "signature", the static length that runs it; or a number of positions,
    where one form was chosen for all inputs at once.
    """

    below_positions: Tuple[int, ...]
    decided_by: Union[str, int]


_TENSORRT = ("precision", "profiles", "workspace_bytes", "dla_core")


def typed_settings(engine: str, settings: Mapping[str, Any]) -> Dict[str, Any]:
    """An exporter's settings as arguments of ``VariantEntry``: what engines act on typed, the rest in ``settings``."""
    rest = dict(settings)
    found: Dict[str, Any] = {}
    if engine == "tensorrt":
        given = {key: rest.pop(key) for key in _TENSORRT if rest.get(key) is not None}
        found["tensorrt"] = decode(TensorRTNeeds, given, "settings")
    if "local_attention" in rest:
        found["local_attention"] = decode(LocalAttentionNeeds, rest.pop("local_attention"), "settings.local_attention")
    if "full_attention" in rest:
        rule = rest.pop("full_attention")
        found["full_attention"] = FullAttention(tuple(rule["below_positions"]), rule["decided_by"])
    return {**found, "settings": rest}
