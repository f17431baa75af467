"""edgeformer-runtime: open a bundle on a device, run it on the fastest engine there, and measure it.

    from edgeformer_runtime import Session

    with Session.open("bundle/") as session:
        print(session.predict(["a text"]))

Names are imported when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, List

from .version import __version__

if TYPE_CHECKING:
    from .bundle.bundle import Bundle
    from .bundle.installed_state import installed_state
    from .bundle.manifest import Manifest
    from .bundle.packing import pack
    from .bundle.writer import BundleWriter, check_output, hash_files, write_bundle
    from .device.facts import DeviceFacts
    from .device.target import Target
    from .errors import (
        BundleNotFoundError,
        BusyError,
        EdgeformerError,
        EngineError,
        InputError,
        InstallError,
        RuntimeBundleError,
        SandboxError,
        SensorError,
        SignatureError,
    )
    from .installing.installation import install, rollback
    from .measuring.report import Report
    from .sandbox.sandbox import Limits, load_in_sandbox
    from .session import Session
    from .variants.execution import VariantRunner

_HOMES = {
    "Bundle": ".bundle.bundle",
    "BundleNotFoundError": ".errors",
    "BundleWriter": ".bundle.writer",
    "BusyError": ".errors",
    "DeviceFacts": ".device.facts",
    "EdgeformerError": ".errors",
    "EngineError": ".errors",
    "InputError": ".errors",
    "InstallError": ".errors",
    "Limits": ".sandbox.sandbox",
    "Manifest": ".bundle.manifest",
    "Report": ".measuring.report",
    "RuntimeBundleError": ".errors",
    "SandboxError": ".errors",
    "SensorError": ".errors",
    "Session": ".session",
    "SignatureError": ".errors",
    "Target": ".device.target",
    "VariantRunner": ".variants.execution",
    "check_output": ".bundle.writer",
    "hash_files": ".bundle.writer",
    "install": ".installing.installation",
    "installed_state": ".bundle.installed_state",
    "load_in_sandbox": ".sandbox.sandbox",
    "pack": ".bundle.packing",
    "rollback": ".installing.installation",
    "write_bundle": ".bundle.writer",
}

__all__ = [
    "Bundle",
    "BundleNotFoundError",
    "BundleWriter",
    "BusyError",
    "DeviceFacts",
    "EdgeformerError",
    "EngineError",
    "InputError",
    "InstallError",
    "Limits",
    "Manifest",
    "Report",
    "RuntimeBundleError",
    "SandboxError",
    "SensorError",
    "Session",
    "SignatureError",
    "Target",
    "VariantRunner",
    "__version__",
    "check_output",
    "hash_files",
    "install",
    "installed_state",
    "load_in_sandbox",
    "pack",
    "rollback",
    "write_bundle",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted(__all__)
