import os
import shutil
import stat
import subprocess
import sys

import pytest

from edgeformer.cli import main
from edgeformer.commands.sign import PASSPHRASE, new_key, sign
from edgeformer_runtime import Bundle, BundleWriter, InputError, RuntimeBundleError, SignatureError, pack
from edgeformer_runtime.bundle.manifest import Manifest, TaskSpec, TensorSpec, VariantEntry, one_graph

TENSOR = (TensorSpec("x", "float32", ("batch",)),)


@pytest.fixture
def bundle(tmp_path):
    """A bundle whose model is no model: signing reads none."""
    with BundleWriter(tmp_path / "bundle") as writer:
        (writer.directory / "model.onnx").write_bytes(b"model")
        variant = VariantEntry("onnx", "onnx", "onnxruntime", one_graph("model.onnx"), 5)
        writer.publish(Manifest("tiny", TaskSpec("tensors"), TENSOR, TENSOR, (), (variant,)))
    return tmp_path / "bundle"


@pytest.fixture
def pair(tmp_path):
    return new_key(tmp_path / "key.pem")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_signed_directory_opens_with_the_public_key_alone(bundle, pair):
    before = Bundle.open(bundle).digest
    assert sign(bundle, pair.private) == pair.key_id
    opened = Bundle.open(bundle, pair.public)
    assert (opened.signed_by, opened.digest) == (pair.key_id, before)
    assert sorted(path.name for path in bundle.iterdir()) == ["manifest.json", "manifest.sig", "model.onnx"]
    assert not [path for path in bundle.parent.iterdir() if path.name.startswith(".")]


def test_a_zip_stays_one_and_becomes_signed(bundle, pair, tmp_path):
    archive = pack(bundle, tmp_path / "a.zip")
    sign(archive, pair.private)
    with Bundle.open(archive, pair.public) as opened:
        assert opened.signed_by == pair.key_id


def test_signing_again_replaces_and_repeats_bit_for_bit(bundle, pair, tmp_path):
    sign(bundle, new_key(tmp_path / "other.pem").private)
    with pytest.raises(SignatureError):
        Bundle.open(bundle, pair.public)
    sign(bundle, pair.private)
    first = (bundle / "manifest.sig").read_bytes()
    sign(bundle, pair.private)
    assert (bundle / "manifest.sig").read_bytes() == first


def test_a_damaged_bundle_is_not_signed(bundle, pair):
    (bundle / "model.onnx").write_bytes(b"other")
    with pytest.raises(RuntimeBundleError):
        sign(bundle, pair.private)
    assert not (bundle / "manifest.sig").exists()


def test_keys_have_safe_modes_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        pair = new_key(tmp_path / "key.pem")
    finally:
        os.umask(before)
    assert (mode(pair.private), mode(pair.public)) == (0o600, 0o644)


def test_keys_are_never_overwritten(pair):
    content = pair.private.read_bytes()
    with pytest.raises(InputError, match="is there already"):
        new_key(pair.private)
    pair.private.unlink()
    with pytest.raises(InputError, match="is there already"):
        new_key(pair.private)
    assert content not in pair.public.read_bytes()


def test_the_public_key_is_called_so(bundle, pair):
    with pytest.raises(InputError, match="is the public key"):
        sign(bundle, pair.public)


def test_a_key_that_others_can_read_is_refused(bundle, pair):
    pair.private.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        sign(bundle, pair.private)


def test_a_passphrase(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv(PASSPHRASE, "correct")
    pair = new_key(tmp_path / "key.pem")
    assert b"ENCRYPTED" in pair.private.read_bytes()
    sign(bundle, pair.private)
    monkeypatch.setenv(PASSPHRASE, "wrong")
    with pytest.raises(InputError, match="is wrong"):
        sign(bundle, pair.private)
    monkeypatch.delenv(PASSPHRASE)
    with pytest.raises(InputError, match=f"set {PASSPHRASE}|is wrong"):
        sign(bundle, pair.private)


def test_keys_that_are_none(bundle, pair, tmp_path):
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n")
    wrong.chmod(0o600)
    for path, message in ((wrong, "can't be read"), (tmp_path / "nowhere", "can't be read")):
        with pytest.raises(InputError, match=message):
            sign(bundle, path)
    wrong.write_text("no key at all")
    with pytest.raises(InputError, match="not a private key"):
        sign(bundle, wrong)


def test_openssl_reads_the_keys(pair):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    shown = subprocess.run(["openssl", "pkey", "-in", pair.private, "-pubout"], capture_output=True, check=True)
    assert shown.stdout == pair.public.read_bytes()


def test_the_command_line(bundle, tmp_path, capsys):
    key = tmp_path / "key.pem"
    assert main(["sign", "--new-key", str(key)]) == 0
    assert main(["sign", str(bundle), "--key", str(key), "--json"]) == 0
    assert '"key_id"' in capsys.readouterr().out
    for words in (
        ["sign"],
        ["sign", str(bundle)],
        ["sign", "--key", str(key)],
        ["sign", str(bundle), "--new-key", "x"],
    ):
        assert main(words) == 2
        assert "sign: give BUNDLE" in capsys.readouterr().err


def test_without_the_library_its_name_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(InputError, match=r"pip install 'edgeformer\[signing\]'"):
        new_key(tmp_path / "key.pem")
