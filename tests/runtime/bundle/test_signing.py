from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgeformer_runtime import Bundle, BundleWriter, InputError, Session, SignatureError, pack
from edgeformer_runtime.bundle.signing import parse_signature

pytest.importorskip("cryptography")
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

sys.path.insert(0, str(Path(__file__).parents[1]))
from signing_key import Key

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo
PRIVATE = (PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@pytest.fixture
def key(tmp_path):
    return Key(tmp_path, "key")


@pytest.fixture
def signed(make_bundle, key):
    return key.sign(make_bundle())


def refused(path, key, message):
    with pytest.raises(SignatureError, match=message) as caught:
        Bundle.open(path, key.path)
    assert caught.value.exit_status == 1


def test_a_signed_bundle_opens_with_its_key(signed, key, tmp_path):
    assert Bundle.open(signed, key.path).signed_by == key.id
    assert Bundle.open(signed).signed_by is None
    with Bundle.open(pack(signed, tmp_path / "a.zip"), str(key.path)) as bundle:
        assert bundle.signed_by == key.id
    pytest.importorskip("onnxruntime")
    with Session.open(signed, key=key.path) as session:
        assert session.bundle.signed_by == key.id


def test_the_signature_changes_nothing_of_the_digest(signed):
    digest = Bundle.open(signed).digest
    (signed / "manifest.sig").unlink()
    assert Bundle.open(signed).digest == digest


def test_any_of_several_keys(signed, key, tmp_path):
    other = Key(tmp_path, "other")
    assert Bundle.open(signed, [other.path, key.path]).signed_by == key.id
    refused(signed, other, f"signed with the key {key.id}: expected {other.id}")


def test_an_unsigned_bundle_is_refused(make_bundle, key):
    refused(make_bundle(), key, "has no manifest.sig, and a key was given")


def test_another_bundles_signature(signed, make_bundle, key):
    other = make_bundle("tokens", name="other")
    shutil.copyfile(str(signed / "manifest.sig"), str(other / "manifest.sig"))
    refused(other, key, "not what the key")


def test_an_altered_manifest(signed, key):
    data = json.loads((signed / "manifest.json").read_text(encoding="utf-8"))
    del data["checksum"]
    data["name"] = "evil"
    (signed / "manifest.json").write_text(json.dumps(data))
    Bundle.open(signed)
    refused(signed, key, "not what the key")


def test_an_altered_file_is_found_by_its_hash(signed, key):
    (signed / "preprocess/tokenizer.json").write_bytes(b"x" * 737)
    with pytest.raises(Exception, match="expected SHA-256"):
        Bundle.open(signed, key.path)


def test_a_signature_that_claims_another_key(signed, key, tmp_path):
    other = Key(tmp_path, "other")
    text = (signed / "manifest.sig").read_text()
    (signed / "manifest.sig").write_text(text.replace(key.id, other.id))
    refused(signed, other, "not what the key")


GOOD = {
    "format_version": 1,
    "algorithm": "ed25519",
    "key_id": "0" * 64,
    "signature": base64.b64encode(bytes(64)).decode(),
}


def test_every_flipped_bit_of_a_signature_is_found(signed, key):
    raw = (signed / "manifest.sig").read_bytes()
    good = parse_signature(raw)
    for place in range(len(raw)):
        for bit in range(8):
            changed = bytearray(raw)
            changed[place] ^= 1 << bit
            with contextlib.suppress(SignatureError):
                # White space between values may change; what is said may not.
                assert parse_signature(bytes(changed)) != good or not chr(raw[place]).strip()


@pytest.mark.parametrize(
    "change",
    [
        {"algorithm": "none"},
        {"algorithm": ["ed25519"]},
        {"format_version": 2},
        {"format_version": True},
        {"key_id": "A" * 64},
        {"key_id": 5},
        {"signature": ""},
        {"signature": None},
        {"signature": GOOD["signature"] + "\n"},
        {"signature": GOOD["signature"][:-3] + "B=="},
        {"signature": base64.b64encode(bytes(63)).decode()},
        {"comment": "trust me"},
    ],
)
def test_signatures_that_are_none(change):
    assert parse_signature(json.dumps(GOOD).encode()) == ("0" * 64, bytes(64))
    with pytest.raises(SignatureError):
        parse_signature(json.dumps({**GOOD, **change}).encode())


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b'{"a": 1, "a": 2}', b"{" * 3000, b" " * 5000])
def test_texts_that_are_no_signature(text):
    with pytest.raises(SignatureError):
        parse_signature(text)


def test_keys_that_are_none(signed, key, tmp_path):
    wrong = tmp_path / "wrong.pem"
    curve = generate_private_key(SECP256R1()).public_key()
    for content, message in (
        (b"", "not a public key"),
        (b"x" * 20_000, "more than"),
        (key.private.private_bytes(*PRIVATE), "private key, which belongs on no device"),
        (curve.public_bytes(PEM, PUBLIC), "expected an Ed25519 key"),
    ):
        wrong.write_bytes(content)
        with pytest.raises(InputError, match=message):
            Bundle.open(signed, wrong)
    for nothing in (tmp_path / "nowhere", tmp_path, "\0"):
        with pytest.raises(InputError, match=r"can't be read|not a path"):
            Bundle.open(signed, nothing)
    with pytest.raises(InputError, match="got none"):
        Bundle.open(signed, [])


def test_a_new_bundle_takes_no_old_signature_with_it(signed):
    manifest = Bundle.open(signed).manifest
    with BundleWriter(signed) as writer:
        for relative in ("variants", "preprocess"):
            shutil.copytree(str(signed / relative), str(writer.directory / relative))
        writer.publish(manifest)
    assert not (signed / "manifest.sig").exists()


def test_without_the_library_its_name_is_said(signed, key, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(InputError, match=r"pip install 'edgeformer-runtime\[signing\]'"):
        Bundle.open(signed, key.path)
    Bundle.open(signed)


def test_openssl_agrees(signed, key, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    (tmp_path / "raw").write_bytes(parse_signature((signed / "manifest.sig").read_bytes())[1])
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(key.path), "-rawin"]
    command += ["-in", str(signed / "manifest.json"), "-sigfile", str(tmp_path / "raw")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Verified Successfully" in done.stdout, done.stderr
