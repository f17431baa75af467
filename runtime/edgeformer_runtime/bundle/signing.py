"""Ed25519 signatures of bundles: who made it, where hashes only say that it is whole.

``manifest.sig`` lies beside manifest.json: one JSON object with ``algorithm`` ("ed25519"), ``key_id`` (SHA-256 of the
public key's DER form, in hexadecimal), ``signature`` (base64 of 64 bytes over the bytes of manifest.json) and
``format_version`` (1). Nothing else is allowed in it. The manifest holds the hash of every file, so its signature
covers them. By hand: `openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in manifest.json -sigfile FILE` with the
decoded signature in FILE.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple, Union

from ..errors import InputError, RuntimeBundleError, SignatureError
from ..files.safe_files import read_plain
from ..files.strict_json import read_json
from .names import MANIFEST_NAME, MAX_SIGNATURE_BYTES, SIGNATURE_NAME

ALGORITHM = "ed25519"
INSTALL = "pip install 'edgeformer-runtime[signing]'"
MAX_KEY_BYTES = 16 << 10
SIGNATURE_BYTES = 64

# A path of a public key, several of them (any may have signed: keys are replaced one by one), or None.
Keys = Union[str, Path, Sequence[Union[str, Path]], None]


def verify_bundle_signature(directory: Path, manifest: bytes, key: Keys) -> Optional[str]:
    """The id of the key that signed ``manifest``; None when no key is given: then nothing is looked at.

    Raises SignatureError when the bundle isn't signed with one of ``key``, InputError for a key that is none.
    """
    if key is None:
        return None
    keys = read_public_keys(key)
    try:
        content = read_plain(directory / SIGNATURE_NAME, SIGNATURE_NAME, MAX_SIGNATURE_BYTES)
    except FileNotFoundError:
        raise SignatureError(
            f"bundle {directory}: has no {SIGNATURE_NAME}, and a key was given: expected a signed bundle. Get the "
            "signed one, or have its producer run `edgeformer sign`"
        ) from None
    return check_signature(manifest, content, keys)


def check_signature(manifest: bytes, content: bytes, keys: Dict[str, Any]) -> str:
    """The id of the key of ``keys`` that signed ``manifest``; ``content`` is that of manifest.sig.

    Raises SignatureError.
    """
    key_id, signature = parse_signature(content)
    if key_id not in keys:
        raise SignatureError(
            f"{SIGNATURE_NAME}: signed with the key {key_id}: expected {' or '.join(sorted(keys))}. The bundle is from "
            "somebody else, or your key is out of date"
        )
    from cryptography.exceptions import InvalidSignature

    try:
        keys[key_id].verify(signature, manifest)
    except InvalidSignature:
        raise SignatureError(
            f"{MANIFEST_NAME} is not what the key {key_id} signed: it was altered, or the signature is another "
            "bundle's. Don't use it: get it again from its producer"
        ) from None
    return key_id


def parse_signature(content: bytes) -> Tuple[str, bytes]:
    """(key id, signature) of the text of a manifest.sig; raises SignatureError."""
    try:
        value = read_json(content, SIGNATURE_NAME, MAX_SIGNATURE_BYTES)
    except SignatureError:
        raise
    except RuntimeBundleError as error:
        raise SignatureError(str(error)) from None
    known = {"format_version", "algorithm", "key_id", "signature"}
    if not isinstance(value, dict) or set(value) != known:
        raise SignatureError(f"{SIGNATURE_NAME}: expected an object with the keys {', '.join(sorted(known))}")
    if [value["format_version"], value["algorithm"]] != [1, ALGORITHM] or value["format_version"] is True:
        raise SignatureError(
            f"{SIGNATURE_NAME}: expected format_version 1 and algorithm {ALGORITHM!r}, got "
            f"{str(value['format_version'])[:20]!r} and {str(value['algorithm'])[:20]!r}: update edgeformer-runtime"
        )
    key_id, text = value["key_id"], value["signature"]
    if not isinstance(key_id, str) or re.fullmatch("[0-9a-f]{64}", key_id) is None:
        raise SignatureError(f"{SIGNATURE_NAME}: key_id: expected 64 lower-case hexadecimal digits")
    try:
        signature = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        signature = b""
    # Compared with its own encoding: several texts decode to the same bytes, and one is enough.
    if len(signature) != SIGNATURE_BYTES or base64.b64encode(signature).decode("ascii") != text:
        raise SignatureError(f"{SIGNATURE_NAME}: signature: expected {SIGNATURE_BYTES} bytes in base64")
    return key_id, signature


def signature_text(key_id: str, signature: bytes) -> str:
    """The text of a manifest.sig."""
    encoded = base64.b64encode(signature).decode("ascii")
    value = {"format_version": 1, "algorithm": ALGORITHM, "key_id": key_id, "signature": encoded}
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def read_public_keys(key: Keys) -> Dict[str, Any]:
    """{key id: public key} of one PEM file or several; raises InputError."""
    paths = [key] if isinstance(key, (str, Path)) else list(key or ())
    if not paths:
        raise InputError("key: expected the path of a public key (PEM), got none")
    keys = [read_public_key(Path(path)) for path in paths]
    return {key_id_of(public): public for public in keys}


def read_public_key(path: Path) -> Any:
    """The Ed25519 public key of a PEM file; raises InputError."""
    _library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = read_key_file(path)
    if b"PRIVATE KEY" in content:
        raise InputError(f"key {path}: is a private key, which belongs on no device: give its public key (.pub.pem)")
    try:
        public = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"key {path}: not a public key in PEM form: {error}") from None
    if not isinstance(public, Ed25519PublicKey):
        raise InputError(f"key {path}: expected an Ed25519 key, got {type(public).__name__}")
    return public


def read_key_file(path: Path) -> bytes:
    """The bytes of a key file; raises InputError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise InputError(f"key {path}: can't be read: {error.strerror or error}") from error
    except ValueError as error:  # NUL in a path
        raise InputError(f"key {str(path)!r}: not a path: {error}") from error
    if len(content) > MAX_KEY_BYTES:
        raise InputError(f"key {path}: has more than {MAX_KEY_BYTES} bytes: expected a key in PEM form")
    return content


def key_id_of(public: Any) -> str:
    """SHA-256 of the DER form of a public key, in hexadecimal."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _library() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise InputError(f"signatures need the package cryptography ({error}): {INSTALL}") from error
