"""Wheels for x86-64 and aarch64 Linux, from either, in one go.

usage: python build_wheels.py OUTPUT [x86_64|aarch64]...     needs: pip install ziglang scikit-build-core build wheel

A plain `pip wheel .` makes one for this machine and its C library instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ARCHITECTURES = ("x86_64", "aarch64")
PLATFORM = "manylinux_2_17_{arch}"  # what cmake/zig-linux.cmake compiles against


def zig() -> Path:
    """Zig's program inside the package ziglang."""
    try:
        import ziglang
    except ImportError:
        sys.exit("no zig: pip install ziglang")
    return Path(ziglang.__file__).parent / "zig"


def build(arch: str, output: Path) -> Path:
    """One wheel; stops with the compiler's own message when it fails."""
    environment = {**os.environ, "EDGEFORMER_ARCH": arch, "ZIG": str(zig())}
    toolchain = f"cmake.args=-DCMAKE_TOOLCHAIN_FILE={HERE / 'cmake' / 'zig-linux.cmake'}"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder]
        # The strip of this machine can't read another architecture's library: the linker does it.
        command += [f"-C{toolchain}", "-Cinstall.strip=false", str(HERE)]
        subprocess.run(command, env=environment, check=True)
        (made,) = Path(folder).glob("*.whl")
        tag = [sys.executable, "-m", "wheel", "tags", "--platform-tag", PLATFORM.format(arch=arch), str(made)]
        subprocess.run(tag, check=True, stdout=subprocess.DEVNULL)
        made.unlink()
        (tagged,) = Path(folder).glob("*.whl")
        output.mkdir(parents=True, exist_ok=True)
        (output / tagged.name).write_bytes(tagged.read_bytes())
        return output / tagged.name


def main() -> None:
    """Build what the command line names."""
    wanted = sys.argv[2:] or list(ARCHITECTURES)
    if len(sys.argv) < 2 or not set(wanted) <= set(ARCHITECTURES):
        sys.exit(__doc__)
    for arch in wanted:
        print(build(arch, Path(sys.argv[1]).resolve()))


if __name__ == "__main__":
    main()
