#!/bin/sh
# What builds of runtime/ios need, to be sourced in the checkout's root: Swift is unpacked, ONNX Runtime's library found, and
# SWIFT_OPTIONS are those of each build.
PYTHON=${PYTHON:-$PWD/.venv/bin/python}
PYTHON="$PYTHON" tests/apps/swift/setup.sh

# ONNX Runtime's library is the wheel's; the linker wants it under its plain name, the loader under its own.
WHEEL=$(readlink -f "$("$PYTHON" -c 'import onnxruntime; print(onnxruntime.__path__[0])')/capi")
TOOLS=$(readlink -f build/swift)
mkdir -p build/ios/onnxruntime
for NAME in libonnxruntime.so libonnxruntime.so.1; do
  ln -sf "$WHEEL"/libonnxruntime.so.* "build/ios/onnxruntime/$NAME"
done
export EDGEFORMER_ONNXRUNTIME="$PWD/build/ios/onnxruntime" EDGEFORMER_FOLDERS="$WHEEL:$TOOLS/onnxruntime"
SWIFT_OPTIONS="--package-path runtime/ios --scratch-path build/ios/package -Xcc -I$TOOLS/onnxruntime/usr/include"
