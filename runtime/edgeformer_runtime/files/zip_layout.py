"""Where the parts of a .zip lie: members that share bytes, hide between others or are too many are refused.

Python's zipfile reads what it needs and believes the rest. These checks come before it allocates anything, and before
a member is unpacked. A comment at the end of the archive and bytes before its first member are refused too: a plain
bundle has neither.
"""

from __future__ import annotations

import os
import struct
import zipfile
from dataclasses import dataclass
from typing import BinaryIO, Sequence, Tuple

from ..errors import ArchiveError, RuntimeBundleError

MAX_DIRECTORY_BYTES = 16 << 20  # of the list of members at the end, which is read into memory

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_LOCAL = struct.Struct("<4s5H3L2H")
_LISTED = b"PK\x01\x02"


@dataclass(frozen=True)
class Layout:
    """The list of members: how many it says, and which bytes of the file it has."""

    members: int
    start: int
    size_bytes: int


def read_layout(file: BinaryIO, max_members: int) -> Layout:
    """Find the list of members; raises RuntimeBundleError for what isn't a plain .zip with few enough of them."""
    layout = _find(file)
    if layout.size_bytes > MAX_DIRECTORY_BYTES:
        raise ArchiveError(
            f"bundle .zip: its list of members has {layout.size_bytes} bytes: expected at most {MAX_DIRECTORY_BYTES}"
        )
    file.seek(layout.start)
    members = max(layout.members, file.read(layout.size_bytes).count(_LISTED))
    if members > max_members:
        raise ArchiveError(f"bundle .zip: holds {members} members: expected at most {max_members}")
    return layout


def check_members(file: BinaryIO, layout: Layout, members: Sequence[zipfile.ZipInfo]) -> None:
    """Raise RuntimeBundleError unless the members lie one after another, none in another's bytes."""
    if len(members) != layout.members:
        raise _refused(f"says that it has {layout.members} members, and lists {len(members)}")
    end = 0
    for member in sorted(members, key=lambda item: item.header_offset):
        name = member.orig_filename[:200]
        if member.header_offset < end or (end == 0 and member.header_offset != 0):
            raise _refused(f"{name!r} starts at byte {member.header_offset}, where another one or nothing of it may be")
        file.seek(member.header_offset)
        header = file.read(_LOCAL.size)
        if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
            raise _refused(f"{name!r} has no header at byte {member.header_offset}")
        fields = _LOCAL.unpack(header)
        end = member.header_offset + _LOCAL.size + fields[9] + fields[10] + member.compress_size
        if end > layout.start:
            raise _refused(f"{name!r} reaches into the list of members")


def _find(file: BinaryIO) -> Layout:
    size = file.seek(0, os.SEEK_END)
    end = size - _END.size
    if end < 0:
        raise _refused("is too short for one")
    file.seek(end)
    fields = _END.unpack(file.read(_END.size))
    if fields[0] != b"PK\x05\x06" or fields[7]:
        raise _refused("doesn't end as one, or has a comment at its end")
    members, size_bytes, start = fields[4], fields[5], fields[6]
    if 0xFFFF in fields[1:5] or 0xFFFFFFFF in fields[5:7]:
        members, size_bytes, start, end = _find64(file, end)
    elif fields[1:3] != (0, 0) or fields[3] != fields[4]:
        raise _refused("is one of several volumes")
    if start + size_bytes != end:
        raise _refused(f"its list of members ends at byte {start + size_bytes}, expected {end}")
    return Layout(members, start, size_bytes)


def _find64(file: BinaryIO, end: int) -> Tuple[int, int, int, int]:
    """(members, bytes of the list, its start, its end) of an archive beyond 4 GB or 65,535 members."""
    place = end - _LOCATOR64.size - _END64.size
    if place < 0:
        raise _refused("lacks the record of a large archive")
    file.seek(place)
    record = _END64.unpack(file.read(_END64.size))
    locator = _LOCATOR64.unpack(file.read(_LOCATOR64.size))
    if (record[0], locator[0]) != (b"PK\x06\x06", b"PK\x06\x07") or locator[1:] != (0, place, 1):
        raise _refused("lacks the record of a large archive")
    if record[4:6] != (0, 0) or record[6] != record[7]:
        raise _refused("is one of several volumes")
    return record[7], record[8], record[9], place


def _refused(problem: str) -> RuntimeBundleError:
    return ArchiveError(f"not a readable .zip: {problem}: get the file again, or pack it anew")
