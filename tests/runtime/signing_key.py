"""An Ed25519 key of a test's own, that signs bundles as a workstation would. Needs cryptography."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edgeformer_runtime.bundle.signing import key_id_of, signature_text


class Key:
    def __init__(self, folder: Path, name: str) -> None:
        self.private = Ed25519PrivateKey.generate()
        self.id = key_id_of(self.private.public_key())
        self.path = folder / f"{name}.pub.pem"
        self.path.write_bytes(self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def sign(self, bundle: Path) -> Path:
        manifest = (bundle / "manifest.json").read_bytes()
        (bundle / "manifest.sig").write_text(signature_text(self.id, self.private.sign(manifest)))
        return bundle
