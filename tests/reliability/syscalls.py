"""The system calls of a forked child, one by one, through ptrace: to kill it before any of them, or to record them.

Only calls that change files below one directory count. Linux on x86-64 and aarch64.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_TRACEME, _SYSCALL, _SETOPTIONS, _GETREGSET = 0, 24, 0x4200, 0x4204
_SYSGOOD, _EXITKILL = 1, 0x100000
_AT_FDCWD = -100
_X86 = {
    "open": 2, "openat": 257, "creat": 85, "write": 1, "pwrite64": 18, "writev": 20, "fsync": 74, "fdatasync": 75,
    "rename": 82, "renameat": 264, "renameat2": 316, "mkdir": 83, "mkdirat": 258, "unlink": 87, "unlinkat": 263,
    "rmdir": 84, "symlink": 88, "symlinkat": 266, "link": 86, "linkat": 265, "ftruncate": 77, "truncate": 76,
    "sendfile": 40, "copy_file_range": 326, "fallocate": 285, "openat2": 437, "pwritev": 296,
}  # fmt: skip
_ARM = {
    "openat": 56, "write": 64, "pwrite64": 68, "writev": 66, "fsync": 82, "fdatasync": 83, "renameat": 38,
    "renameat2": 276, "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37, "ftruncate": 46, "truncate": 45,
    "sendfile": 71, "copy_file_range": 285, "fallocate": 47, "openat2": 437, "pwritev": 70,
}  # fmt: skip
_NUMBERS = {"x86_64": _X86, "aarch64": _ARM}
_NAMES = {number: name for name, number in _NUMBERS.get(platform.machine(), {}).items()}
# Places in the register set: number, result, arguments.
_REGISTERS = {
    "x86_64": (15, 10, (14, 13, 12, 7, 9, 8), 27),
    "aarch64": (8, 0, (0, 1, 2, 3, 4, 5), 34),
}
_BY_HANDLE = ("write", "pwrite64", "writev", "pwritev", "fsync", "fdatasync", "ftruncate", "fallocate", "sendfile")


@dataclass
class Call:
    """One system call below the directory. ``paths`` are absolute; ``data`` is what ``write`` wrote."""

    name: str
    arguments: tuple[int, ...]
    paths: tuple[str, ...]
    result: int = 0


class UnavailableError(Exception):
    """This machine doesn't let us trace."""


class Traced:
    """A child that runs ``work`` and stops before and after each call that changes something below ``root``."""

    def __init__(self, work: Callable[[], object], root: Path) -> None:
        if platform.machine() not in _NUMBERS or not Path("/proc/self/mem").exists():
            raise UnavailableError(f"ptrace is known here on Linux, x86_64 and aarch64; this is {platform.machine()}")
        self._root = str(root)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self._libc.ptrace.restype = ctypes.c_long
        self.status = -1
        self.pid = os.fork()
        if self.pid == 0:
            self._be_child(work)
        os.waitpid(self.pid, 0)
        self._ptrace(_SETOPTIONS, None, _SYSGOOD | _EXITKILL)

    def _be_child(self, work: Callable[[], object]) -> None:
        status = 1
        try:
            if self._libc.ptrace(_TRACEME, 0, None, None) != 0:
                os._exit(77)
            os.kill(os.getpid(), signal.SIGSTOP)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def stops(self) -> Iterator[tuple[Call, bool]]:
        """Each call twice: (call, False) before it is done, (call, True) after it."""
        inside: Call | None = None
        entering = True
        while self._resume():
            if entering:
                inside = self._call()
                if inside is not None:
                    yield inside, False
            elif inside is not None:
                inside.result = self._registers()[_REGISTERS[platform.machine()][1]]
                yield inside, True
            entering = not entering

    def kill(self) -> None:
        """End the child now: a call that it stopped before is never done."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def memory(self, address: int, size: int) -> bytes:
        """Bytes of the child's memory."""
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as file:  # noqa: PTH123
            file.seek(address)
            return file.read(size)

    def handle_path(self, handle: int) -> str:
        """What an open file of the child was opened as, or is called now."""
        return os.readlink(f"/proc/{self.pid}/fd/{handle}")  # noqa: PTH115

    def _resume(self) -> bool:
        pending = 0
        while True:
            self._ptrace(_SYSCALL, None, pending)
            _, status = os.waitpid(self.pid, 0)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                self.status = os.waitstatus_to_exitcode(status)
                return False
            if os.WSTOPSIG(status) == signal.SIGTRAP | 0x80:
                return True
            pending = os.WSTOPSIG(status)

    def _ptrace(self, request: int, address: int | None, data: object) -> None:
        if self._libc.ptrace(request, self.pid, address, data) < 0:
            raise UnavailableError(f"ptrace is refused here: {os.strerror(ctypes.get_errno())}")

    def _registers(self) -> list[int]:
        count = _REGISTERS[platform.machine()][3]
        buffer = (ctypes.c_long * count)()

        class Vector(ctypes.Structure):
            _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))

        vector = Vector(ctypes.addressof(buffer), ctypes.sizeof(buffer))
        self._ptrace(_GETREGSET, 1, ctypes.addressof(vector))
        return list(buffer)

    def _call(self) -> Call | None:
        """The call that the child is about to do, if it may change something below the directory."""
        values = self._registers()
        number, _, places, _ = _REGISTERS[platform.machine()]
        name = _NAMES.get(values[number])
        if name is None:
            return None
        arguments = tuple(values[place] for place in places)
        paths = self._paths(name, arguments)
        if not any(path == self._root or path.startswith(self._root + "/") for path in paths):
            return None
        return Call(name, arguments, paths)

    def _paths(self, name: str, a: tuple[int, ...]) -> tuple[str, ...]:
        try:
            if name in _BY_HANDLE:
                return (self.handle_path(a[0]),)
            if name == "copy_file_range":
                return (self.handle_path(a[2]),)
            if name in ("renameat", "renameat2", "linkat"):
                return self._at(a[0], a[1]), self._at(a[2], a[3])
            if name in ("rename", "link"):
                return self._at(_AT_FDCWD, a[0]), self._at(_AT_FDCWD, a[1])
            if name == "symlinkat":
                return (self._at(a[1], a[2]),)
            if name == "symlink":
                return (self._at(_AT_FDCWD, a[1]),)
            flags = {"open": a[1], "openat": a[2], "creat": os.O_CREAT}.get(name)
            if flags is not None and not flags & (os.O_CREAT | os.O_TRUNC):
                return ()
            return (self._at(a[0], a[1]) if name.endswith("at") and name != "creat" else self._at(_AT_FDCWD, a[0]),)
        except OSError:
            return ()

    def _at(self, folder: int, address: int) -> str:
        folder = ctypes.c_int(folder).value
        path = self.memory(address, 4096 - address % 4096 + 4096).split(b"\0")[0] if address else b""
        base = os.readlink(f"/proc/{self.pid}/cwd") if folder == _AT_FDCWD else self.handle_path(folder)  # noqa: PTH115
        return os.path.normpath(Path(base, os.fsdecode(path)))
