"""Reaching a device from the workstation: this machine, ssh, adb, or a board that is emulated here."""

from .address import FORMS, Address, parse_address
from .base import Remote, RemoteError
from .bench import Measured, Options, measure
from .emulated_run import EmulatedRun, run_emulated
from .run import bench

__all__ = [
    "FORMS",
    "Address",
    "EmulatedRun",
    "Measured",
    "Options",
    "Remote",
    "RemoteError",
    "bench",
    "measure",
    "parse_address",
    "run_emulated",
]
