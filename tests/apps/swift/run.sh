#!/bin/sh
# Builds runtime/ios on Debian 13's Swift and runs its tests: all of them, or those that are named (run.sh StrictJsonTest).
set -eu
cd "$(dirname "$0")/../../.."
. tests/apps/swift/environment.sh
. tests/apps/prepare.sh
export EDGEFORMER_REPORTS="$PWD/build/ios/reports"
mkdir -p "$EDGEFORMER_REPORTS"
rm -f "$EDGEFORMER_REPORTS"/*

FILTER=
[ $# = 0 ] || FILTER=$(printf -- '--filter %s ' "$@")
# Optimized: a debug build hashes and tokenizes fifty times slower.
# shellcheck disable=SC2086  # one word an option
tests/apps/swift/in.sh swift test -Xswiftc -O -Xswiftc -warnings-as-errors $SWIFT_OPTIONS $FILTER
tests/apps/swift/coreml.sh
# Reports of the tests are read by the compiler's tools.
[ ! -e "$EDGEFORMER_REPORTS/text-classification.json" ] ||
  "$PYTHON" -m edgeformer report compare "$EDGEFORMER_REPORTS"/*.json
[ $# != 0 ] || tests/apps/swift/examples.sh
