"""From a sensitivity profile to the units that ``allocate`` chooses for."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import InputError
from ..sensitivity.candidates import FLOAT
from ..sensitivity.profile import LayerProfile, Profile
from .knapsack import Option, Unit
from .latency_table import LatencyTable

# A table of a few rows (token types) saves nothing and costs operators, see passes.quantize.
SMALLEST_TABLE_ROWS = 32


def layer_units(
    profile: Profile,
    formats: Collection[str],
    *,
    keep_roles: Collection[str] = (),
    latency_table: LatencyTable | None = None,
) -> tuple[Unit, ...]:
    """A unit a layer, with an option for each format that the layer can have.

    Args:
        profile: measured damages.
        formats: the candidates; a layer that can have none of them stays float32.
        keep_roles: layers of these roles are no units: they stay float32, as tables of a few rows do.
        latency_table: gives linears their latency; a lookup in a table is counted as 0 ms.

    Raises:
        InputError: a format that the profile doesn't hold; a shape or format that the latency table doesn't hold.
    """
    unknown = [name for name in formats if name not in profile.formats and name != FLOAT]
    if unknown:
        raise InputError(
            f"allocate: the profile of {profile.model_name} holds {', '.join(profile.formats)}, not {unknown[0]}: "
            "measure that format too"
        )
    return tuple(
        Unit(layer.path, _options(layer, formats, latency_table))
        for layer in profile.layers
        if layer.role not in keep_roles and not (layer.kind == "embedding" and layer.shape[0] < SMALLEST_TABLE_ROWS)
    )


def _options(layer: LayerProfile, formats: Collection[str], table: LatencyTable | None) -> tuple[Option, ...]:
    found = []
    for name in formats:
        entry = layer.formats.get(name)
        if entry is not None and entry.damage is not None and entry.size_bytes is not None and name != FLOAT:
            found.append(Option(name, entry.damage, entry.size_bytes, _latency_ms(layer, name, table)))
    if FLOAT in formats or not found:
        found.append(Option(FLOAT, 0.0, layer.size_bytes_float32, _latency_ms(layer, FLOAT, table)))
    return tuple(found)


def _latency_ms(layer: LayerProfile, format: str, table: LatencyTable | None) -> float | None:
    if table is None:
        return None
    return 0.0 if layer.kind == "embedding" else table.latency_ms(layer.shape, format)
