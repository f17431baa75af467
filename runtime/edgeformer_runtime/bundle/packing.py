"""A bundle into one .zip, so that equal files are equal bytes."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path
from typing import Union

from ..errors import InputError
from ..files.listing import scan_files
from .bundle import Bundle

_BLOCK_BYTES = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date that a zip can hold


def pack(bundle_directory: Union[str, Path], zip_path: Union[str, Path]) -> Path:
    """Write the bundle of a directory into one .zip, whole or not at all; returns the path of the .zip.

    Members are sorted, dated 1980 and stored without compression (weights hardly compress, and compressors
    differ from release to release), so equal files, reports included, give equal bytes. The bundle is verified
    first. Raises
    InputError when ``zip_path`` holds something other than a .zip, RuntimeBundleError when the bundle isn't
    sound.
    """
    output = Path(zip_path)
    if output.is_dir() or (output.exists() and not zipfile.is_zipfile(output)):
        raise InputError(f"output {output}: exists and is not a .zip: choose another path")
    source = Bundle.open(bundle_directory).path
    handle, temporary = tempfile.mkstemp(prefix=f".{output.name}.", suffix=".tmp", dir=output.absolute().parent)
    try:
        with os.fdopen(handle, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for relative in sorted(scan_files(source)):
                    _pack_member(archive, source, relative)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(output)
    except BaseException:
        Path(temporary).unlink()
        raise
    return output


def _pack_member(archive: zipfile.ZipFile, source: Path, relative: str) -> None:
    path = source.joinpath(*relative.split("/"))
    info = zipfile.ZipInfo(relative, date_time=_EPOCH)
    info.create_system = 3  # Unix, on every system
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    info.file_size = path.stat().st_size  # tells the writer whether the member needs 64-bit sizes
    with path.open("rb") as origin, archive.open(info, "w") as member:
        shutil.copyfileobj(origin, member, _BLOCK_BYTES)
