"""What an app has to add for a bundle, as a terminal shows it."""

from __future__ import annotations

from typing import Any

from .table import text_table


def guide_text(guide: dict[str, Any]) -> str:
    """A table of variants, sizes, then each step and the code."""
    rows = [
        (item["name"], _mb(item["size_bytes"]), "yes" if item["runs"] else "no", _needs(item))
        for item in guide["variants"]
    ]
    lines = [
        f"{guide['name']}: {guide['task']}, for {guide['platform']}",
        text_table(("variant", "size", "runs", ""), rows),
        *(f"skipped {item['part']} {item['name']}: {item['reason']}" for item in guide["skipped"]),
        "",
        _in_the_app(guide["sizes"]),
        *(f"engine {item['name']}: {_engine(item)}" for item in guide["engines"]),
        *(f"note: {note}" for note in guide["notes"]),
    ]
    for step in guide["steps"]:
        lines += ["", f"--- {step['title']}", step["text"]]
    return "\n".join([*lines, "", f"--- {guide['language']}", guide["code"]])


def _in_the_app(sizes: dict[str, Any]) -> str:
    parts = ", ".join(f"{name} {_mb(size)}" for name, size in sizes["needed_by_part"].items() if size)
    carried, needed, bundle = (_mb(sizes[f"{what}_bytes"]) for what in ("carried", "needed", "bundle"))
    if carried == needed:
        return f"in the app: {needed} of the bundle's {bundle} ({parts})"
    return f"in the app: {carried}, the whole bundle; {needed} of it for what runs there ({parts})"


def _needs(item: dict[str, Any]) -> str:
    if item["reason"] is not None:
        return str(item["reason"])
    minimum = item["min_engine_version"]
    return f"in {item['engine']}" + (f" {minimum} or newer" if minimum else "")


def _engine(item: dict[str, Any]) -> str:
    library = "part of the system" if item["library"] is None else f"{item['library']} {item['version']}"
    size = "size unknown" if item["size_bytes"] is None else _mb(item["size_bytes"])
    return f"{library}, {size} ({item['size_source']})"


def _mb(size_bytes: int) -> str:
    if size_bytes == 0:
        return "0 bytes"
    return f"{size_bytes / 1e6:.2f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"
