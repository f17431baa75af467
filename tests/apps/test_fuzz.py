"""Python itself over what fuzz.py writes for readers in other languages."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from edgeformer_runtime import RuntimeBundleError
from edgeformer_runtime.bundle.manifest_reader import read_manifest
from edgeformer_runtime.preprocess.text import TextEncoder, TextPreprocess

sys.path.insert(0, str(Path(__file__).parent))
from fuzz import Apart

pytest.importorskip("tokenizers")
APPS = Path(__file__).parent


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    done = subprocess.run([sys.executable, APPS / "fuzz.py", folder, "--count", "600"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def lines(path):
    """(text, what is known of it) of each line, as a reader finds it."""
    for line in path.read_text("ascii").splitlines():
        known = json.loads(line)
        text = (APPS.parent / known["base"]).read_bytes()
        for at, deleted, inserted in known["edits"]:
            assert 0 <= at <= at + deleted <= len(text)
            text = text[:at] + base64.b64decode(inserted) + text[at + deleted :]
        yield text, known


def test_a_manifest_is_read_or_refused_with_the_code_that_is_written(written):
    codes: Counter = Counter()
    for text, known in lines(written / "manifests.jsonl"):
        codes[known["code"]] += 1
        if known["code"] is None:
            assert [[item.part, item.name] for item in read_manifest(text).skipped] == known["skipped"]
            continue
        with pytest.raises(RuntimeBundleError) as caught:
            read_manifest(text)
        assert caught.value.code == known["code"]
    assert {None, "json", "manifest", "checksum", "path"} <= set(codes)
    assert codes[None] >= 60


def test_a_tokenizer_is_opened_or_refused_as_ours(written, capfd):
    preprocess = TextPreprocess("tokenizer.json", 1 << 20, 0)
    compared = 0
    for text, known in lines(written / "tokenizers.jsonl"):
        try:
            encoder = TextEncoder(text, preprocess, ())
        except RuntimeBundleError:
            assert known["ids"] is None
            continue
        for one, ids in zip(known["texts"], known["ids"], strict=True):
            if ids:  # an empty result is refused
                assert encoder.encode(one).tokens == len(ids)
                compared += 1
    assert compared >= 60


def test_a_process_that_dies_gives_nothing_and_the_next_one_answers():
    apart = Apart()
    assert [apart(os._exit, 1), apart(len, "ab"), apart(len, "abc")] == [None, 2, 3]


def test_a_case_is_the_same_whatever_their_number(written, tmp_path):
    subprocess.run([sys.executable, APPS / "fuzz.py", tmp_path, "--count", "30"], check=True, capture_output=True)
    for path in sorted(tmp_path.iterdir()):
        assert (written / path.name).read_text().startswith(path.read_text())
