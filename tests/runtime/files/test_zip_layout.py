from __future__ import annotations

import contextlib
import io
import struct
import zipfile

import pytest

from edgeformer_runtime import Bundle, RuntimeBundleError, pack
from edgeformer_runtime.files.zip_layout import check_members, read_layout


def archive_of(*names, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name in names:
            archive.writestr(name, b"content of " + name.encode())
    return file.getvalue()


def read(content, limit=100):
    file = io.BytesIO(content)
    layout = read_layout(file, limit)
    with zipfile.ZipFile(file) as archive:
        check_members(file, layout, archive.infolist())
    return layout


def large(content):
    """The same archive with the records of one beyond 4 GB."""
    end = struct.unpack("<4s4H2LH", content[-22:])
    body, members, size, start = content[:-22], end[4], end[5], end[6]
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, members, members, size, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(body), 1)
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return body + record + locator + last


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_zipfile_writes_is_read(method):
    assert read(archive_of("a", "b/c", "d", method=method)).members == 3


def test_an_archive_beyond_4_gb_is_read():
    content = archive_of("a", "b")
    assert read(large(content)) == read(content)


def test_a_written_stream_has_descriptors_behind_its_members():
    class Stream(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise OSError("a pipe")

        def tell(self):
            raise OSError("a pipe")

    stream = Stream()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", b"x" * 100)
        archive.writestr("b", b"y" * 100)
    assert read(stream.getvalue()).members == 2


@pytest.mark.parametrize("place", range(4, 76))
def test_no_flipped_bit_in_the_large_records_goes_further_than_the_layout(place):
    content = bytearray(large(archive_of("a", "b")))
    at = len(content) - 22 - 20 - 56 + place
    content[at] ^= 1
    with contextlib.suppress(RuntimeBundleError, zipfile.BadZipFile, NotImplementedError):
        assert read(bytes(content)) == read(archive_of("a", "b"))


def test_too_many_members_are_counted_before_they_are_read():
    with pytest.raises(RuntimeBundleError, match="holds 4 members: expected at most 3"):
        read(archive_of("a", "b", "c", "d"), limit=3)


def test_an_empty_archive_is_one_without_a_bundle(tmp_path):
    (tmp_path / "empty.zip").write_bytes(archive_of())
    with pytest.raises(RuntimeBundleError, match=r"has no manifest\.json"):
        Bundle.open(tmp_path / "empty.zip")


def test_a_large_one_of_a_real_bundle_opens(make_bundle, tmp_path):
    path = make_bundle()
    packed = pack(path, tmp_path / "a.zip")
    packed.write_bytes(large(packed.read_bytes()))
    with Bundle.open(packed) as bundle:
        assert bundle.digest == Bundle.open(path).digest
