from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile

import pytest

from edgeformer_runtime import Bundle, BundleNotFoundError, InputError, RuntimeBundleError, pack

MODEL = "variants/onnx/model.onnx"


@pytest.fixture
def path(make_bundle):
    return make_bundle()


def refused(path, message):
    with pytest.raises(RuntimeBundleError, match=message) as caught:
        Bundle.open(path)
    return caught.value


def test_a_sound_bundle_opens(path):
    bundle = Bundle.open(path)
    assert bundle.path == path
    assert bundle.manifest.name == "tiny-classifier"
    assert len(bundle.digest) == 64
    assert bundle.file(bundle.manifest.variants[0].path).is_file()
    bundle.close()
    assert path.is_dir()


def test_no_bundle(tmp_path):
    for where in (tmp_path / "nowhere", tmp_path, "\0"):
        with pytest.raises(BundleNotFoundError) as caught:
            Bundle.open(where)
        assert caught.value.exit_status == 2


@pytest.mark.parametrize("relative", [MODEL, "preprocess/tokenizer.json"])
def test_a_changed_byte(path, relative):
    content = bytearray((path / relative).read_bytes())
    content[len(content) // 2] ^= 1
    (path / relative).write_bytes(bytes(content))
    assert refused(path, "expected SHA-256").exit_status == 1


def test_a_truncated_file(path):
    (path / MODEL).write_bytes((path / MODEL).read_bytes()[:-1])
    refused(path, "expected 610 bytes, got 609")


def test_a_truncated_manifest(path):
    text = (path / "manifest.json").read_text(encoding="utf-8")
    (path / "manifest.json").write_text(text[:-20], encoding="utf-8")
    refused(path, "not JSON")


def test_a_missing_and_an_extra_file(path):
    (path / "notes.txt").write_text("mine")
    refused(path, "'notes.txt' is not in manifest.json")
    (path / "notes.txt").unlink()
    (path / MODEL).unlink()
    refused(path, f"'{MODEL}' is missing")


def test_links_are_refused(path, tmp_path):
    outside = tmp_path / "outside.onnx"
    shutil.move(str(path / MODEL), str(outside))
    (path / MODEL).symlink_to(outside)
    refused(path, "symbolic link")
    (path / MODEL).unlink()
    os.link(str(outside), str(path / MODEL))
    refused(path, "hard link")
    (path / MODEL).unlink()
    shutil.copyfile(str(outside), str(path / MODEL))
    Bundle.open(path)
    (path / "preprocess").rename(tmp_path / "elsewhere")
    (path / "preprocess").symlink_to(tmp_path / "elsewhere")
    refused(path, "'preprocess' is a symbolic link")


def test_a_pipe_is_refused_without_reading_it(path):
    (path / MODEL).unlink()
    os.mkfifo(str(path / MODEL))
    refused(path, "device, pipe or socket")


def test_a_manifest_that_is_a_link(path, tmp_path):
    shutil.move(str(path / "manifest.json"), str(tmp_path / "manifest.json"))
    (path / "manifest.json").symlink_to(tmp_path / "manifest.json")
    refused(path, "symbolic link")


def edit(path, change):
    data = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    change(data)
    del data["checksum"]
    (path / "manifest.json").write_text(json.dumps(data), encoding="utf-8")


def test_a_newer_format_is_named_even_when_the_files_are_unknown(path):
    edit(path, lambda data: data.update(format_version=3, files="another way to say it"))
    refused(path, "made by a newer edgeformer")


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "C:/x", "..\\x", ""])
def test_paths_that_leave_the_bundle(path, name):
    edit(path, lambda data: data["files"][0].update(path=name))
    refused(path, "relative path inside the bundle")


def test_a_zip_gives_the_same_bundle(path, tmp_path):
    first, second = pack(path, tmp_path / "a.zip"), pack(path, tmp_path / "b.zip")
    os.utime(str(path / MODEL), (0, 0))
    assert first.read_bytes() == second.read_bytes() == pack(path, tmp_path / "a.zip").read_bytes()
    with Bundle.open(first) as bundle:
        assert bundle.digest == Bundle.open(path).digest
        copy = bundle.path
    assert not copy.exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.zip", "b.zip", "bundle"]


def test_pack_replaces_only_a_zip(path, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for wrong in (tmp_path / "notes.txt", tmp_path):
        with pytest.raises(InputError, match=r"not a \.zip"):
            pack(path, wrong)
    (path / MODEL).unlink()
    with pytest.raises(RuntimeBundleError):
        pack(path, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def rezip(path, target, change):
    """The bundle as a .zip after ``change(archive)`` has added to it."""
    with zipfile.ZipFile(str(target), "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path.rglob("*")):
            if file.is_file():
                archive.write(str(file), file.relative_to(path).as_posix())
        change(archive)
    return target


def member(name, mode=0):
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name
    info.external_attr = mode << 16
    return info


def test_a_deflated_zip_with_folders_opens(path, tmp_path):
    target = rezip(path, tmp_path / "a.zip", lambda archive: archive.writestr(member("variants/", 0o40755), b""))
    with Bundle.open(target) as bundle:
        assert bundle.manifest.name == "tiny-classifier"


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("info", "message"),
    [
        (member("../outside"), "leaves the bundle"),
        (member("/tmp/outside"), "is absolute"),
        (member("a\\..\\..\\b"), "backslash"),
        (member("link", 0o120777), "link or a device"),
        (member("fifo", 0o010644), "link or a device"),
        (member("MANIFEST.json"), "name one file"),
        (member("manifest.json/x"), "both a file and the folder"),
        (member("variants/onnx/model.onnx"), "name one file"),
        (member("extra.txt"), "is not in manifest.json"),
        (member("cafe\u0301.txt"), "is not in manifest.json"),
    ],
)
def test_hostile_members(path, tmp_path, info, message, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "unpack"))
    (tmp_path / "unpack").mkdir()
    target = rezip(path, tmp_path / "a.zip", lambda archive: archive.writestr(info, b"../outside"))
    refused(target, message)
    assert list((tmp_path / "unpack").iterdir()) == []
    assert not (tmp_path / "outside").exists()


def test_a_name_cut_by_nul(path, tmp_path):
    target = rezip(path, tmp_path / "a.zip", lambda archive: archive.writestr("extraX", b"x"))
    target.write_bytes(target.read_bytes().replace(b"extraX", b"extra\0"))
    refused(target, "control character")


def test_composed_and_decomposed_names_are_one_file(path, tmp_path):
    def change(archive):
        archive.writestr("caf\u00e9", b"x")
        archive.writestr("cafe\u0301", b"x")

    refused(rezip(path, tmp_path / "a.zip", change), "name one file")


def test_a_bomb_is_refused_before_it_is_unpacked(path, tmp_path):
    target = rezip(path, tmp_path / "a.zip", lambda archive: archive.writestr("zeros", bytes(20 << 20)))
    assert target.stat().st_size < 1 << 20
    refused(target, "bomb")


def test_a_zip_of_too_much_or_too_many(path, tmp_path, monkeypatch):
    target = pack(path, tmp_path / "a.zip")
    monkeypatch.setattr("edgeformer_runtime.bundle.zipped.MAX_UNPACKED_BYTES", 1000)
    refused(target, "expected at most 1000")
    monkeypatch.setattr("edgeformer_runtime.bundle.zipped.MAX_FILES", 2)
    refused(target, "expected at most 2")


def test_damaged_archives(path, tmp_path):
    target = pack(path, tmp_path / "a.zip")
    content = target.read_bytes()
    for damaged in (b"", b"PK", content[:100], content[: len(content) // 2], content[:-5]):
        target.write_bytes(damaged)
        refused(target, "not a readable .zip")
    target.write_bytes(content.replace(b"good", b"evil"))
    refused(target, "not a readable .zip")  # the archive's own checksum


def test_a_zip_with_a_folder_around_the_bundle(path, tmp_path):
    target = tmp_path / "a.zip"
    with zipfile.ZipFile(str(target), "w") as archive:
        archive.write(str(path / "manifest.json"), "bundle/manifest.json")
    with pytest.raises(BundleNotFoundError, match=r"a \.zip of the files in it"):
        Bundle.open(target)


@pytest.mark.parametrize("name", ["report.json", "report.html"])
def test_a_report_is_no_part_of_the_hashes(path, tmp_path, name):
    digest = Bundle.open(path).digest
    for text in ("one", "another"):
        (path / name).write_text(text)
        assert Bundle.open(path).digest == digest
        with Bundle.open(pack(path, tmp_path / "a.zip")) as bundle:
            assert bundle.digest == digest
            assert (bundle.path / name).read_text() == text


def test_reports_elsewhere_and_other_names_are_refused(path):
    for relative in ("variants/report.json", "Report.json", "report.htm", "report.json.bak"):
        (path / relative).write_text("x")
        refused(path, f"'{relative}' is not in manifest.json")
        (path / relative).unlink()
    (path / "report.html").mkdir()
    (path / "report.html" / "index.html").write_text("x")
    refused(path, r"'report.html/index.html' is not in manifest.json")


def test_a_report_that_is_a_link_or_too_large(path, tmp_path, monkeypatch):
    (tmp_path / "outside").write_text("x" * 100)
    (path / "report.json").symlink_to(tmp_path / "outside")
    refused(path, "symbolic link")
    (path / "report.json").unlink()
    os.link(str(tmp_path / "outside"), str(path / "report.json"))
    refused(path, "hard link")
    (path / "report.json").unlink()
    (path / "report.json").write_text("x" * 100)
    packed = pack(path, tmp_path / "a.zip")
    monkeypatch.setattr("edgeformer_runtime.bundle.listing.MAX_REPORT_BYTES", 99)
    refused(path, "expected at most 99")
    refused(packed, "expected at most 99")


def test_a_report_in_an_older_manifest_is_verified_as_it_says(path):
    (path / "report.json").write_text("{}")
    entry = {"path": "report.json", "bytes": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}
    edit(path, lambda data: data["files"].append(entry))
    Bundle.open(path)
    (path / "report.json").write_text("[]")
    refused(path, "'report.json': expected SHA-256")
