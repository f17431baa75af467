from __future__ import annotations

import pytest

from edgeformer_runtime.errors import RuntimeBundleError
from edgeformer_runtime.files.paths import check_distinct, check_relative_path


@pytest.mark.parametrize(
    "path",
    [
        "model.onnx",
        "variants/coreml/model.mlpackage/Data/com.apple.CoreML/weights/weight.bin",
        "variants/caf\u00e9/model.onnx",
        "a b/c d.json",
        "console/auxiliary/com10/nullable.txt",
        ".hidden/file",
        "/".join("x" * 32),
    ],
)
def test_plain_paths(path):
    check_relative_path(path, "here")


@pytest.mark.parametrize(
    "path",
    ["", "/x", "../x", "a/..", "a//b", "CON", "a/Nul.txt", "com\u00b9", "a.", "a ", "a:b", "a?", "a\u200b", "a\n"],
)
def test_refused_paths_are_named_with_their_place(path):
    with pytest.raises(RuntimeBundleError, match="here: path"):
        check_relative_path(path, "here")


@pytest.mark.parametrize(
    "paths",
    [
        ("a", "A"),
        ("stra\u00dfe", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
        ("\u01c6", "\u01c4"),
        ("a/x", "A/y"),
        ("caf\u00e9/x", "cafe\u0301/y"),
        ("a", "a/b"),
        ("a/b/c", "a/B"),
        ("a", "a"),
    ],
)
def test_paths_that_meet_on_some_file_system(paths):
    for order in (paths, paths[::-1]):
        with pytest.raises(RuntimeBundleError, match="here: "):
            check_distinct(order, "here")


def test_paths_that_dont_meet():
    check_distinct(["a/x", "a/y", "ab", "b/a/x", "b/a/y", "a.b"], "here")
