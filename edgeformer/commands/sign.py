"""`edgeformer sign`: an Ed25519 signature beside a bundle's manifest, and the keys for it.

The format of manifest.sig is that of ``edgeformer_runtime.bundle.signing``. The private key stays on the workstation,
in a PEM file that only its owner can read; devices get the public one.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeformer_runtime.bundle.names import MANIFEST_NAME, SIGNATURE_NAME
from edgeformer_runtime.bundle.signing import check_signature, key_id_of, read_key_file, signature_text
from edgeformer_runtime.errors import InputError
from edgeformer_runtime.files.durable import write_replacing
from edgeformer_runtime.terminal import say

from .base import add_command

PASSPHRASE = "EDGEFORMER_KEY_PASSPHRASE"  # in the environment; never on a command line, where others can read it
INSTALL = "pip install 'edgeformer[signing]'"


@dataclass(frozen=True)
class KeyPair:
    """A new pair of keys: where they are, and the public one's id."""

    private: Path
    public: Path
    key_id: str


def add(commands: Any) -> None:
    """Add the command to the command line."""
    command = add_command(commands, "sign", "sign a bundle, or make a pair of keys for it", run)
    command.add_argument("bundle", metavar="BUNDLE", nargs="?", type=Path, help="directory or .zip")
    command.add_argument("--key", type=Path, metavar="FILE", help="private key (PEM, Ed25519)")
    command.add_argument("--new-key", type=Path, metavar="FILE", help="make FILE and, beside it, its public key")


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    if (options.bundle is None) == (options.new_key is None) or (options.bundle is None) != (options.key is None):
        raise InputError("sign: give BUNDLE and --key FILE to sign, or --new-key FILE alone to make a pair of keys")
    if options.new_key is not None:
        pair = new_key(options.new_key)
        found = {"private": str(pair.private), "public": str(pair.public), "key_id": pair.key_id}
        text = f"{pair.private}: keep it secret\n{pair.public}: give it to devices\nkey id {pair.key_id}"
    else:
        found = {"bundle": str(options.bundle), "key_id": sign(options.bundle, options.key)}
        text = f"{options.bundle}: signed with the key {found['key_id']}"
    say(json.dumps(found) if options.json else text)


def new_key(path: Path) -> KeyPair:
    """Write a new private key to ``path`` and its public key beside it (``key.pem`` and ``key.pub.pem``).

    The private one is encrypted where the environment variable EDGEFORMER_KEY_PASSPHRASE is set, and readable by its
    owner alone either way. Raises InputError where a file is in the way: keys are never overwritten.
    """
    _library()
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public_path = path.with_name(f"{path.stem}.pub.pem")
    for target in (path, public_path):
        if os.path.lexists(target):
            raise InputError(f"key {target}: is there already: choose another name; keys are never overwritten")
    private = Ed25519PrivateKey.generate()
    passphrase = os.environ.get(PASSPHRASE, "")
    lock: Any = form.BestAvailableEncryption(passphrase.encode()) if passphrase else form.NoEncryption()
    secret = private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, lock)
    public = private.public_key()
    shown = public.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    _write_new(path, secret, 0o600)
    _write_new(public_path, shown, 0o644)
    return KeyPair(path, public_path, key_id_of(public))


def sign(bundle_path: Path, key_path: Path) -> str:
    """Sign the bundle at ``bundle_path`` (directory or .zip) with a private key; returns the key's id.

    The bundle is verified first. An older signature is replaced; a .zip is written anew, whole or not at all. Raises
    InputError for the key, RuntimeBundleError for the bundle.
    """
    from edgeformer_runtime import Bundle, pack

    private = read_private_key(key_path)
    with Bundle.open(bundle_path) as bundle:
        manifest = (bundle.path / MANIFEST_NAME).read_bytes()
        key_id = key_id_of(private.public_key())
        content = signature_text(key_id, private.sign(manifest)).encode("ascii")
        check_signature(manifest, content, {key_id: private.public_key()})
        # Made beside the bundle: a kill must leave no stray file in it, which would make it unreadable.
        with tempfile.TemporaryDirectory(prefix=".signature-", dir=bundle.path.parent) as folder:
            write_replacing(bundle.path / SIGNATURE_NAME, content, Path(folder, SIGNATURE_NAME))
        if bundle_path.is_file():
            pack(bundle.path, bundle_path)
    return key_id


def read_private_key(path: Path) -> Any:
    """The Ed25519 private key of a PEM file that nobody else can read; raises InputError."""
    _library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = read_key_file(path)
    if b"PUBLIC KEY" in content:
        raise InputError(
            f"key {path}: is the public key, which devices get: sign with the private one that it belongs to"
        )
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InputError(f"key {path}: others on this machine can read it: run `chmod 600 {path}`, or make a new one")
    if b"PRIVATE KEY" not in content:
        raise InputError(f"key {path}: not a private key in PEM form: make one with `edgeformer sign --new-key {path}`")
    passphrase = os.environ.get(PASSPHRASE, "")
    try:
        private = load_pem_private_key(content, passphrase.encode() if b"ENCRYPTED" in content else None)
    except TypeError:
        raise InputError(f"key {path}: is encrypted: set {PASSPHRASE} in the environment") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"key {path}: can't be read, or {PASSPHRASE} is wrong: {error}") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise InputError(f"key {path}: expected an Ed25519 key, got {type(private).__name__}")
    return private


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise InputError(f"key {path}: can't be written: {error.strerror}") from error
    with os.fdopen(handle, "wb") as file:
        if hasattr(os, "fchmod"):
            os.fchmod(handle, mode)  # whatever the umask is
        file.write(content)


def _library() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise InputError(f"signatures need the package cryptography ({error}): {INSTALL}") from error
