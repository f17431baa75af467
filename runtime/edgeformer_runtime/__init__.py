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
    from .bundle import Bundle
    from .bundle_writer import BundleWriter, check_output, hash_files, write_bundle
    from .bundle_zip import pack
    from .errors import (
        BundleNotFoundError,
        EdgeformerError,
        EngineError,
        InputError,
        RuntimeBundleError,
        SensorError,
    )
    from .execution import VariantRunner
    from .manifest import Manifest
    from .report import Report
    from .session import Session
    from .system import DeviceFacts
    from .target import Target

_HOMES = {
    "Bundle": ".bundle",
    "BundleNotFoundError": ".errors",
    "BundleWriter": ".bundle_writer",
    "DeviceFacts": ".system",
    "EdgeformerError": ".errors",
    "EngineError": ".errors",
    "InputError": ".errors",
    "Manifest": ".manifest",
    "Report": ".report",
    "RuntimeBundleError": ".errors",
    "SensorError": ".errors",
    "Session": ".session",
    "Target": ".target",
    "VariantRunner": ".execution",
    "check_output": ".bundle_writer",
    "hash_files": ".bundle_writer",
    "pack": ".bundle_zip",
    "write_bundle": ".bundle_writer",
}

__all__ = [
    "Bundle",
    "BundleNotFoundError",
    "BundleWriter",
    "DeviceFacts",
    "EdgeformerError",
    "EngineError",
    "InputError",
    "Manifest",
    "Report",
    "RuntimeBundleError",
    "SensorError",
    "Session",
    "Target",
    "VariantRunner",
    "__version__",
    "check_output",
    "hash_files",
    "pack",
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
