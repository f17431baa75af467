from __future__ import annotations

import errno
import os
import shutil

import pytest

from edgeformer_runtime import Bundle, BundleWriter, InputError, check_output, hash_files, write_bundle
from edgeformer_runtime.errors import RuntimeBundleError


@pytest.fixture
def bundle(make_bundle):
    return Bundle.open(make_bundle())


def stage(bundle, directory):
    shutil.copytree(str(bundle.path), str(directory))
    return directory


def names(directory):
    return sorted(entry.name for entry in directory.iterdir())


def test_hash_files_lists_all_but_the_manifest(bundle):
    assert hash_files(bundle.path) == bundle.manifest.files
    assert [entry.path for entry in hash_files(bundle.path)] == [
        "preprocess/tokenizer.json",
        "variants/onnx/model.onnx",
    ]


def test_write_bundle_publishes_a_copy(bundle, tmp_path):
    staged = stage(bundle, tmp_path / "staged")
    made = write_bundle(staged, bundle.manifest, tmp_path / "deep" / "er" / "out")
    assert made.path == tmp_path / "deep/er/out"
    assert made.digest == bundle.digest
    assert names(tmp_path / "deep" / "er") == ["out"]
    assert staged.is_dir()


def test_a_bundle_is_replaced_by_the_next(bundle, tmp_path):
    (tmp_path / "out").mkdir()  # an empty directory may be taken
    for content in ("one", "two"):
        with BundleWriter(tmp_path / "out") as writer:
            shutil.copytree(str(bundle.path / "variants"), str(writer.directory / "variants"))
            shutil.copytree(str(bundle.path / "preprocess"), str(writer.directory / "preprocess"))
            (writer.directory / "report.json").write_text(content)
            writer.publish(bundle.manifest)
        assert (tmp_path / "out" / "report.json").read_text() == content
    assert names(tmp_path) == ["bundle", "out"]


def test_leaving_without_publishing_leaves_nothing(bundle, tmp_path):
    with BundleWriter(tmp_path / "out") as writer:
        (writer.directory / "half").write_text("x")
    assert names(tmp_path) == ["bundle"]


def test_what_would_not_open_is_not_published(bundle, tmp_path):
    writer = BundleWriter(tmp_path / "out")
    with pytest.raises(RuntimeBundleError, match="not among the files"), writer:
        writer.publish(bundle.manifest)
    assert names(tmp_path) == ["bundle"]


def test_links_are_not_published(bundle, tmp_path):
    staged = stage(bundle, tmp_path / "staged")
    (staged / "link").symlink_to("/etc/passwd")
    with pytest.raises(RuntimeBundleError, match="symbolic link"):
        write_bundle(staged, bundle.manifest, tmp_path / "out")
    assert names(tmp_path) == ["bundle", "staged"]


def test_outputs_that_are_someone_elses(bundle, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine")
    (tmp_path / "extension").mkdir()
    (tmp_path / "extension" / "manifest.json").write_text('{"manifest_version": 3}')
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    staged = stage(bundle, tmp_path / "mixed")
    (staged / "notes.txt").write_text("mine")
    before = names(tmp_path)
    for name, message in (
        ("file", "is a file"),
        ("folder", "something other than a bundle"),
        ("extension", "something other than a bundle"),
        ("link", "symbolic link"),
        ("mixed", "'notes.txt', which isn't part of it"),
        ("file/below", "not a directory that you may write to"),
    ):
        with pytest.raises(InputError, match=message):
            check_output(tmp_path / name)
        with pytest.raises(InputError, match=message):
            BundleWriter(tmp_path / name)
    assert names(tmp_path) == before


def test_outputs_that_are_fine(bundle, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new", "new/deeper", "bundle"):
        check_output(tmp_path / name)


@pytest.mark.parametrize("step", ["write_bytes", "fsync", "rename", "second rename"])
def test_a_full_disk_leaves_the_old_bundle(bundle, tmp_path, monkeypatch, step):
    """Whatever fails while writing, the old bundle stays whole and no leftover stays beside it."""
    staged = stage(bundle, tmp_path / "staged")
    (staged / "report.json").write_text("new")
    calls = {"rename": 0}
    path_type = type(tmp_path)
    real_rename = path_type.rename

    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, "No space left on device")

    def rename(self, target):
        calls["rename"] += 1
        if calls["rename"] == (1 if step == "rename" else 2):
            full()
        return real_rename(self, target)

    with monkeypatch.context() as patch:
        if step == "write_bytes":
            patch.setattr(path_type, "write_bytes", full)
        elif step == "fsync":
            patch.setattr(os, "fsync", full)
        else:
            patch.setattr(path_type, "rename", rename)
        with pytest.raises(OSError, match="No space left"):
            write_bundle(staged, bundle.manifest, bundle.path)
    assert Bundle.open(bundle.path).digest == bundle.digest
    assert names(tmp_path) == ["bundle", "staged"]


def test_reports_are_published_but_not_listed(bundle, tmp_path):
    staged = stage(bundle, tmp_path / "staged")
    for name in ("report.json", "report.html"):
        (staged / name).write_text("times")
    made = write_bundle(staged, bundle.manifest, tmp_path / "out")
    assert made.digest == bundle.digest
    assert {entry.path for entry in made.manifest.files}.isdisjoint({"report.json", "report.html"})
    assert (made.path / "report.html").read_text() == "times"
    check_output(made.path)  # a bundle with reports may be replaced
