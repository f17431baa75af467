#!/bin/sh
# Prints one JSON line: {"tokenizer_mb_per_s": {name: x}, "overhead_ratio": x, "overhead_us": x}, the latter two what
# Session.run adds to the engine's own call, with 64 tokens, to the model of a bundle: bench.sh [BUNDLE].
set -eu
cd "$(dirname "$0")/../../.."
BUNDLE=$(readlink -f "${1:-tests/conformance/bundles/text-classification}")
. tests/apps/swift/environment.sh
export EDGEFORMER_FOLDERS="$EDGEFORMER_FOLDERS:$BUNDLE"
# shellcheck disable=SC2086  # one word an option
tests/apps/swift/in.sh swift build -c release --product Bench -Xswiftc -enable-testing $SWIFT_OPTIONS >&2
exec tests/apps/swift/in.sh build/ios/package/release/Bench "$PWD" "$BUNDLE"
