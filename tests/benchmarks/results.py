"""RESULTS.md: what `make bench` printed, one section a class of CPU, in it one a part; a run replaces its own alone."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

FILE = Path(__file__).with_name("RESULTS.md")
_HEAD = """# Results

Written by `make bench`: a section for each class of CPU, in it one for each part of the benchmark, with its date and
machine. Ratios within a row of a table were interleaved in one run; milliseconds of two machines, or of two days, don't
compare. A run on a class replaces what stood there for it.
"""
# What decides how an int8 product is computed, best first, by /proc/cpuinfo's flags.
_CLASSES = (
    ("amx_int8", "AMX, AVX512-VNNI"),
    ("avx512_vnni", "AVX512-VNNI"),
    ("avx_vnni", "AVX-VNNI"),
    ("avx512bw", "AVX512 without VNNI"),
    ("avx2", "AVX2 without VNNI"),
    ("i8mm", "Arm with i8mm"),
    ("asimddp", "Arm with dot product"),
    ("asimd", "Arm without dot product"),
)


def cpu_class(cpuinfo: str) -> str:
    """The class of a CPU by the text of /proc/cpuinfo, with its maker: "AVX512-VNNI, AMD"."""
    flags = set(re.findall(r"\w+", "".join(re.findall(r"(?m)^(?:flags|Features)\s*:(.*)$", cpuinfo))))
    name = next((label for flag, label in _CLASSES if flag in flags), "unknown instruction set")
    makers = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel"}
    found = re.search(r"(?m)^vendor_id\s*:\s*(\S+)", cpuinfo)
    return f"{name}, {makers.get(found[1], found[1])}" if found else name


class _Tee(io.TextIOBase):
    """Writes to two streams."""

    def __init__(self, first: io.TextIOBase, second: io.StringIO) -> None:
        self._streams = (first, second)

    def write(self, text: str) -> int:
        for stream in self._streams:
            stream.write(text)
        return len(text)

    def flush(self) -> None:
        self._streams[0].flush()


@contextlib.contextmanager
def recorded(part: str, where: str, file: Path = FILE) -> Iterator[None]:
    """What is printed inside is shown, and put into ``file`` when it ends well; ``where`` is date and machine."""
    kept = io.StringIO()
    with contextlib.redirect_stdout(_Tee(sys.stdout, kept)):
        yield
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    text = file.read_text(encoding="utf-8") if file.exists() else _HEAD
    file.write_text(replaced(text, cpu_class(cpuinfo), part, f"{where}\n\n{as_markdown(kept.getvalue())}"))


def replaced(text: str, cpu: str, part: str, body: str) -> str:
    """``text`` with ``body`` as the part of that class; other parts and classes stay as they are."""
    head, *classes = re.split(r"(?m)^(?=## )", text)
    title = f"## {cpu}\n"
    old = next((section for section in classes if section.startswith(title)), title)
    intro, *parts = re.split(r"(?m)^(?=### )", old)
    new = f"### {part}\n\n{body.strip()}\n\n"
    parts = [section for section in parts if not section.startswith(f"### {part}\n")] + [new]
    section = intro.rstrip() + "\n\n" + "".join(sorted(parts))
    classes = [other for other in classes if not other.startswith(title)] + [section]
    return head.rstrip() + "\n\n" + "".join(section.rstrip() + "\n\n" for section in sorted(classes)).rstrip() + "\n"


def as_markdown(printed: str) -> str:
    """Tables as they are, other lines as blocks of text."""
    blocks: list[str] = []
    for table, lines in _runs(printed.strip("\n").split("\n")):
        text = "\n".join(lines).strip("\n")
        if text.strip():
            blocks.append(text if table else f"```text\n{text}\n```")
    return "\n\n".join(blocks)


def _runs(lines: list[str]) -> Iterator[tuple[bool, list[str]]]:
    kept: list[str] = []
    for line in lines:
        if kept and line.startswith("|") != kept[0].startswith("|"):
            yield kept[0].startswith("|"), kept
            kept = []
        kept.append(line)
    if kept:
        yield kept[0].startswith("|"), kept
