"""A stand-in for adb's server and a device behind it: it speaks to the real client, and the device is a shell here.

The smart-socket protocol: a request is four hexadecimal digits of length and a text, the answer OKAY or FAIL. After
`host:transport…` the socket belongs to the device, and takes `exec:`, or `sync:` for copying.
"""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import struct
import subprocess
import threading
from pathlib import Path

CLIENT_VERSION = 41  # of the protocol between client and server, since 2019; another one makes the client start its own


class AdbServer:
    """Serves one device, ``serial``. ``fails`` maps the start of a request to the message that refuses it."""

    def __init__(self, serial: str, environment: dict[str, str], fails: dict[str, str] | None = None) -> None:
        self.serial, self.environment, self.fails = serial, environment, fails or {}
        self.requests: list[str] = []
        self.break_after_bytes: int | None = None  # of pushed content: the cable comes off
        self.children: list[subprocess.Popen[bytes]] = []
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    Connection(outer, self.request).serve()
                except (ConnectionError, OSError):
                    return

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for child in self.children:
            child.kill()
            child.wait()


class Connection:
    """One socket of the client."""

    def __init__(self, server: AdbServer, link: socket.socket) -> None:
        self.server, self.link = server, link

    def serve(self) -> None:
        while True:
            request = self.read(int(self.read(4), 16)).decode()
            self.server.requests.append(request)
            for start, message in self.server.fails.items():
                if request.startswith(start):
                    self.answer(b"FAIL", message.encode())
                    return
            if not request.startswith("host"):
                self.device(request)
                return
            if not self.host(request.partition(":")[2]):
                return

    def host(self, request: str) -> bool:
        """Requests to the server itself; True when the socket stays open, for the device's requests."""
        if request.startswith(("transport", "tport")):
            serial = request.partition(":serial:" if "tport" in request else ":")[2]
            if serial != self.server.serial:
                self.answer(b"FAIL", f"device '{serial}' not found".encode())
                return False
            self.link.sendall(b"OKAY" + (struct.pack("<Q", 1) if "tport" in request else b""))
            return True
        if request == "version":
            self.answer(b"OKAY", f"{CLIENT_VERSION:04x}".encode())
        elif request.endswith("features"):
            self.answer(b"OKAY", b"")  # the oldest device: no shell_v2, no stat_v2
        else:
            self.answer(b"FAIL", f"unknown request {request}".encode())
        return False

    def device(self, request: str) -> None:
        name, _, rest = request.partition(":")
        if name == "exec":
            self.link.sendall(b"OKAY")
            self.execute(rest)
        elif name == "sync":
            self.link.sendall(b"OKAY")
            self.sync()
        else:
            self.answer(b"FAIL", b"closed")

    def execute(self, line: str) -> None:
        """As adbd does it: the socket is the program's input and output, errors among the output."""
        child = subprocess.Popen(
            ["sh", "-c", line], stdin=self.link.fileno(), stdout=self.link.fileno(), stderr=self.link.fileno(),
            env=self.server.environment, start_new_session=True,
        )  # fmt: skip
        self.server.children.append(child)
        child.wait()

    def sync(self) -> None:
        """STAT, SEND and QUIT, little-endian."""
        while True:
            command, size = struct.unpack("<4sI", self.read(8))
            if command == b"QUIT":
                return
            name = self.read(size).decode()
            if command in (b"STAT", b"LSTA"):
                self.link.sendall(b"STAT" + struct.pack("<III", *self.stat(name)))
            elif command == b"SEND":
                self.receive(name)
            else:
                self.fail(f"unknown command {command!r}")
                return

    def stat(self, name: str) -> tuple[int, int, int]:
        path = Path(name)
        if not path.exists():
            return 0, 0, 0
        found = path.stat()
        return found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime)

    def receive(self, request: str) -> None:
        name, _, _ = request.rpartition(",")
        received = 0
        try:
            with Path(name).open("wb") as file:
                while True:
                    command, size = struct.unpack("<4sI", self.read(8))
                    if command == b"DONE":
                        break
                    file.write(self.read(size))
                    received += size
                    limit = self.server.break_after_bytes
                    if limit is not None and received >= limit:
                        raise ConnectionResetError
        except ConnectionResetError:
            self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise
        except OSError as error:
            self.fail(os.strerror(error.errno or 0))
            return
        self.link.sendall(b"OKAY" + struct.pack("<I", 0))

    def answer(self, status: bytes, content: bytes) -> None:
        self.link.sendall(status + f"{len(content):04x}".encode() + content)

    def fail(self, message: str) -> None:
        self.link.sendall(b"FAIL" + struct.pack("<I", len(message)) + message.encode())

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            block = self.link.recv(count - len(data))
            if not block:
                raise ConnectionError
            data += block
        return data


def unplug(server: AdbServer) -> None:
    """Every program on the device loses its socket; as with a cable, adbd ends them and closes."""
    for child in server.children:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
