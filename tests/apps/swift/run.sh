#!/bin/sh
# Builds runtime/ios on Debian 13's Swift and runs its tests: all of them, or those that are named (run.sh StrictJsonTest).
set -eu
cd "$(dirname "$0")/../../.."
PYTHON=${PYTHON:-$PWD/.venv/bin/python}
PYTHON="$PYTHON" tests/apps/swift/setup.sh
. tests/apps/prepare.sh

# ONNX Runtime's library is the wheel's; the linker wants it under its plain name.
WHEEL=$("$PYTHON" -c 'import onnxruntime; print(onnxruntime.__path__[0])')/capi
TOOLS=$(readlink -f build/swift)
mkdir -p build/ios/onnxruntime
ln -sf "$WHEEL"/libonnxruntime.so.* build/ios/onnxruntime/libonnxruntime.so
export EDGEFORMER_ONNXRUNTIME="$PWD/build/ios/onnxruntime" EDGEFORMER_FOLDERS="$WHEEL:$TOOLS/onnxruntime"

FILTER=
[ $# = 0 ] || FILTER=$(printf -- '--filter %s ' "$@")
# shellcheck disable=SC2086  # one word an option
exec tests/apps/swift/in.sh swift test --package-path runtime/ios --scratch-path build/ios/package -Xswiftc -warnings-as-errors \
  -Xcc "-I$TOOLS/onnxruntime/usr/include" $FILTER
