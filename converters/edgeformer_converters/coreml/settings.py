"""What a Core ML variant is told, and which devices want what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgeformer_runtime.device.target import Target
from edgeformer_runtime.errors import InputError

from ..base import ExportError, VariantPlan

DeploymentTarget = Literal["iOS17", "iOS18"]
DEFAULT_DEPLOYMENT_TARGET: DeploymentTarget = "iOS18"
SHAPES = ("enumerated", "range")


@dataclass(frozen=True)
class CoreMLSettings:
    """Settings of one variant.

    Args:
        deployment_target: the oldest system that must load the package: "iOS18" (macOS 15) or "iOS17"
            (macOS 14).
        shapes: "enumerated" declares exactly the request's sequence lengths, which the Neural Engine can
            compile; "range" declares every length from 1 to the longest, which mostly runs on CPU and GPU. Inputs
            without a length (images) have one shape either way.
    """

    deployment_target: DeploymentTarget = DEFAULT_DEPLOYMENT_TARGET
    shapes: Literal["enumerated", "range"] = "enumerated"

    @property
    def has_fine_weights(self) -> bool:
        """4-bit weights and scales per block came with iOS18."""
        return self.deployment_target != "iOS17"

    @property
    def is_range(self) -> bool:
        """Whether every length up to the longest is declared."""
        return self.shapes == "range"

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> CoreMLSettings:
        """From a plan's settings; raises ExportError for an unknown key or value, with the known ones."""
        known = {"deployment_target": ("iOS18", "iOS17"), "shapes": SHAPES}
        for key, value in settings.items():
            if key not in known:
                raise ExportError(f"coreml: setting {key!r} is unknown: expected one of {', '.join(known)}")
            if value not in known[key]:
                expected = " or ".join(known[key])
                raise ExportError(f"coreml: setting {key} = {value!r}: expected {expected}")
        return cls(**settings)


@dataclass(frozen=True)
class CoreMLExport:
    """What a recipe may ask of Core ML, [export.coreml].

    Args:
        shapes: see ``CoreMLSettings``; None leaves it to the deployment target.
    """

    shapes: str | None = None

    def __post_init__(self) -> None:
        if self.shapes is not None and self.shapes not in SHAPES:
            raise InputError(f"shapes = {self.shapes!r}: expected {' or '.join(SHAPES)}")


def plans_for(targets: Sequence[Target]) -> tuple[VariantPlan, ...]:
    """One plan for each deployment target that ``targets`` need; the iOS18 one where there are no targets.

    Raises ExportError for a device older than iOS17.
    """
    if not targets:
        return (_plan("coreml", DEFAULT_DEPLOYMENT_TARGET, ()),)
    wanted: dict[DeploymentTarget, list[str]] = {}
    for target in targets:
        engine = target.engine("coreml")
        if engine is not None:
            wanted.setdefault(_deployment_target(target.name, engine.version), []).append(target.name)
    newest = max(wanted, default=DEFAULT_DEPLOYMENT_TARGET)
    return tuple(
        _plan("coreml" if version == newest else f"coreml-{version.lower()}", version, tuple(names))
        for version, names in sorted(wanted.items(), reverse=True)
    )


def _plan(name: str, version: DeploymentTarget, targets: tuple[str, ...]) -> VariantPlan:
    settings: dict[str, str] = {"deployment_target": version}
    if version == "iOS17":
        # before iOS18 a model may enumerate the shapes of one input only, and an encoder has two or three
        settings["shapes"] = "range"
    return VariantPlan(name=name, format="coreml", targets=targets, settings=settings)


def _deployment_target(device: str, version: str) -> DeploymentTarget:
    match = re.fullmatch(r"iOS(\d+)(\.\d+)*", version)
    if match is None or int(match[1]) < 17:
        raise ExportError(
            f"coreml: device {device!r} declares Core ML {version!r}: expected iOS17 or newer, written like 'iOS18'"
        )
    return "iOS17" if int(match[1]) == 17 else "iOS18"
