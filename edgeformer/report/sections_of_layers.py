"""The sections of report.html about layers and the work done: bits, pruning, sensitivity, passes, time, recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from . import plots, wording
from .blocks import Block, Cell, Code, Figure, Section, Table, Text

Report = Mapping[str, Any]
_ROWS_SHOWN = 16  # a longer table is folded


def bits(report: Report) -> Section:
    """The format of every layer, and what each format holds of the whole."""
    layers = report.get("layers", [])
    if not layers:
        return Section("bits", "Bits per layer", [Text("The model has no linear layers or embeddings.", missing=True)])
    total = sum(layer["size_bytes"] for layer in layers)
    formats: dict[str, list[Mapping[str, Any]]] = {}
    for layer in layers:
        formats.setdefault(f"{layer['format']}", []).append(layer)
    summary = [
        (
            name,
            wording.number(len(some)),
            wording.number(sum(layer["parameters"] for layer in some)),
            wording.size(held := sum(layer["size_bytes"] for layer in some)),
            Cell(wording.percent(held / total, 1), bar=held / total),
        )
        for name, some in formats.items()
    ]
    average = 8 * total / sum(layer["parameters"] for layer in layers)
    prefix = _common_prefix([layer["path"] for layer in layers])
    largest = max(layer["size_bytes"] for layer in layers)
    rows = [
        (
            layer["path"][len(prefix) :],
            str(layer["role"]),
            str(layer["format"]),
            Cell(str(layer["bits"]), bar=layer["bits"] / 32),
            wording.number(layer["parameters"]),
            Cell(wording.size(layer["size_bytes"]), bar=layer["size_bytes"] / largest),
        )
        for layer in layers
    ]
    blocks: list[Block] = [
        Text(f"{average:.2f} bits a weight on average over {len(layers)} layers."),
        Table(("format", "layers", "weights", "size", "share of the size"), summary),
        Table(
            ("layer", "role", "format", "bits", "weights", "size"),
            rows,
            texts=3,
            caption=f"Paths begin with {prefix}" if prefix else "",
            folded=f"All {len(rows)} layers" if len(rows) > _ROWS_SHOWN else "",
        ),
    ]
    return Section("bits", "Bits per layer", blocks)


def pruning(report: Report) -> Section:
    """Heads and feed-forward channels of every block, before and after."""
    found = _facts_with(report, "before", "after", of="prune_structured")
    if found is None:
        return Section("pruning", "Pruning", [Text("Nothing was removed: no pruning pass ran.", missing=True)])
    after = {entry.get("block", index): entry for index, entry in enumerate(found["after"])}
    rows: list[tuple[str | Cell, ...]] = []
    for index, before in enumerate(found["before"]):
        left = after.get(index, {"heads": 0, "channels": 0})
        rows.append(
            (
                str(index) if index in after else f"{index}, removed",
                *(wording.number(entry[key]) for key in ("heads", "channels") for entry in (before, left)),
                *(Cell(wording.percent(left[key] / max(before[key], 1), 0), bar=left[key] / max(before[key], 1))
                  for key in ("heads", "channels")),
            )
        )  # fmt: skip
    header = ("block", "heads before", "after", "channels before", "after", "heads kept", "channels kept")
    return Section("pruning", "Pruning", [Table(header, rows)])


def sensitivity(report: Report) -> Section:
    """What each layer loses in each format, as a heat map and as a table."""
    found = _facts_with(report, "profile")
    if found is None:
        why = "No sensitivity was measured: no pass of this recipe needed a profile."
        return Section("sensitivity", "Sensitivity", [Text(why, missing=True)])
    profile = found["profile"]
    formats = [str(name) for name in profile["formats"]]
    layers = profile["layers"]
    damage = [[_damage(layer, name) for name in formats] for layer in layers]
    prefix = _common_prefix([layer["path"] for layer in layers])
    names = [layer["path"][len(prefix) :] for layer in layers]
    unit = str(profile.get("damage_unit") or "damage")
    rows = [
        (name, str(layer.get("role", wording.DASH)), *(wording.number(value) for value in row))
        for name, layer, row in zip(names, layers, damage, strict=True)
    ]
    counted = f" over {profile['rows']} rows" if profile.get("rows") else ""
    blocks: list[Block] = []
    if layers:
        said = f"Damage when one layer alone takes a format{counted}: {unit}. Logarithmic; blank: not measured."
        blocks.append(Figure(plots.heat_map(names, formats, damage, unit, "plot-sensitivity"), said))
    folded = f"All {len(rows)} layers in figures" if len(rows) > _ROWS_SHOWN else ""
    caption = f"Paths begin with {prefix}" if prefix else ""
    blocks.append(Table(("layer", "role", *formats), rows, texts=2, folded=folded, caption=caption))
    return Section("sensitivity", "Sensitivity", blocks)


def _damage(layer: Mapping[str, Any], name: str) -> float | None:
    """From a profile's ``formats[name].damage``, or the short form ``damage[name]``."""
    short = layer.get("damage")
    value = short.get(name) if short is not None else (layer.get("formats", {}).get(name) or {}).get("damage")
    return None if value is None else float(value)


def passes(report: Report) -> Section:
    """Every pass with its facts."""
    rows = [
        (str(item["name"]), "yes" if item["changed"] else "no", f"{item['seconds']:.1f} s")
        for item in report.get("passes", [])
    ]
    blocks: list[Block] = [Table(("pass", "changed the model", "time"), rows, texts=2)]
    for item in report.get("passes", []):
        if item.get("facts"):
            text = json.dumps(item["facts"], indent=1, ensure_ascii=False)
            blocks.append(Code(text, folded=f"Facts of {item['name']}"))
    return Section("passes", "Passes", blocks)


def stages(report: Report) -> Section:
    """Where the time went."""
    found = report.get("stages", [])
    longest = max((item["seconds"] for item in found), default=0) or 1
    rows = [
        (
            str(item["name"]),
            "kept from an earlier run" if item["resumed"] else "done",
            f"part of {item['within']}" if item.get("within") else "",
            Cell(f"{item['seconds']:.1f} s", bar=item["seconds"] / longest),
        )
        for item in found
    ]
    total = report.get("seconds")
    took = "The whole time was not noted" if total is None else f"{total:.1f} s from the start to this report"
    peak = report.get("peak_memory_bytes")
    used = f"{peak / 1e6:.0f} MB at most" if peak else "not known here"
    blocks: list[Block] = [
        Text(f"{took}, memory {used}. Finished {report.get('created_at', 'at an unnoted time')}."),
        Table(("stage", "", "", "time"), rows, texts=3, caption="These don't add up to the whole: a stage may be part "
              "of another, and some work is in none."),
    ]  # fmt: skip
    return Section("stages", "Time", blocks)


def repeat(report: Report) -> Section:
    """The command and the whole recipe."""
    versions = report.get("versions", {})
    rows = [(name, str(version or "not installed")) for name, version in versions.items()]
    return Section(
        "repeat",
        "To repeat it",
        [
            Code(
                str(report.get("command", "")), caption="The same inputs and recipe give the same files, byte by byte."
            ),
            Code(str(report.get("recipe_toml", "")), caption="recipe.toml"),
            Table(("package", "version"), rows, texts=2, folded="Versions of the packages that decide about bytes"),
            Text(f"Bundle {report.get('bundle_digest', 'without a digest')} (SHA-256 of its manifest.json)."),
        ],
    )


def _facts_with(report: Report, *keys: str, of: str | None = None) -> Mapping[str, Any] | None:
    """Facts of the last pass that holds all ``keys``, or of the search that chose the passes."""
    search = {"name": "search", "facts": report.get("search", {}).get("facts")}
    for item in reversed([search, *report.get("passes", [])]):
        facts = item.get("facts") or {}
        if all(key in facts for key in keys) and (of is None or item["name"] == of):
            found: Mapping[str, Any] = facts
            return found
    return None


def _common_prefix(paths: Sequence[str]) -> str:
    """The modules that all paths begin with: "bert." of bert.pooler.dense and bert.encoder.layer.0."""
    shared = []
    for names in zip(*(path.split(".")[:-1] for path in paths), strict=False):
        if len(set(names)) > 1:
            break
        shared.append(f"{names[0]}.")
    return "".join(shared)
