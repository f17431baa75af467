#!/bin/sh
# Unpacks Debian 13's Swift compiler into build/swift, once: 550 MB are downloaded, 2.5 GB kept. in.sh runs it there.
# Needs a Debian host on x86-64 and PYTHON (default .venv/bin/python) with edgeformer installed.
set -eu
cd "$(dirname "$0")/../../.."
TOOLS=$PWD/build/swift
PYTHON=${PYTHON:-$PWD/.venv/bin/python}
[ ! -e "$TOOLS/complete" ] || exit 0
rm -rf "$TOOLS/root" "$TOOLS/onnxruntime"
for FOLDER in bin sbin lib lib64; do
  mkdir -p "$TOOLS/root/usr/$FOLDER"
  ln -s "usr/$FOLDER" "$TOOLS/root/$FOLDER"
done

# Of ONNX Runtime the official header alone: the library is the wheel's, as in Python.
"$PYTHON" - "$TOOLS" <<'PY'
import sys
from pathlib import Path

from edgeformer_devices.emulation.apt import unpack

tools = Path(sys.argv[1])
packages = ["swiftlang", "libc6-dev", "libstdc++-14-dev", "coreutils", "dash"]
unpack(packages, suite="trixie", architecture="amd64", into=tools / "root", with_dependencies=True)
unpack(["libonnxruntime-dev"], suite="trixie", architecture="amd64", into=tools / "onnxruntime")
PY
touch "$TOOLS/complete"
