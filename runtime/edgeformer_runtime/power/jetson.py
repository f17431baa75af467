"""What the two drivers of the Jetson INA3221 share: a total is claimed only for a known module with all its rails."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, TypeVar

from .boards import board_model, jetson_module

T = TypeVar("T")
# Of the data sheet SBOS576: gain errors of shunt and bus voltage, 0.25 % each. The shunt resistor's own tolerance is on
# top and not published by NVIDIA.
INA3221_ACCURACY = 0.005
INA3221_SHUNT_STEP_UV = 40.0
MAX_W = 300.0  # twice what the largest module may draw


def choose(root: Path, rails: Sequence[Tuple[Optional[str], T]]) -> Tuple[List[T], List[T], Optional[str]]:
    """(rails of the total, the other rails, why there is no total), from all labelled rails of the board."""
    labels = [label for label, _ in rails if label]
    module = jetson_module(root)
    listed = ", ".join(labels) or "none with a label"
    if module is None:
        board = board_model(root) or "a board without a name"
        return [], [], f"{board} isn't a Jetson known here: which rails add up to its power isn't; rails: {listed}"
    if not module.total:
        return [], [], f"on {module.name} the total is VIN of the INA238, not the sum of the rails {listed}"
    by_label: Dict[str, List[T]] = {}
    for label, rail in rails:
        by_label.setdefault(label or "", []).append(rail)
    for label in module.total:
        if label not in by_label:
            return [], [], f"{module.name}: rail {label} is missing, so there is no total; rails: {listed}"
        if len(by_label[label]) > 1:
            return [], [], f"{module.name}: {len(by_label[label])} rails are called {label}: which one is it?"
    total = [by_label[label][0] for label in module.total]
    return total, [rail for label, rail in rails if label and label not in module.total], None
