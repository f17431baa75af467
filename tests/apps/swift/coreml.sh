#!/bin/sh
# Type-checks the Core ML engine, which only Apple's systems can compile, against our own declarations of stubs/CoreML.swift.
set -eu
cd "$(dirname "$0")/../../.."
OUT=build/ios/apple
ENGINE=runtime/ios/Sources/EdgeformerRuntime/engines/CoreMLEngine.swift
mkdir -p "$OUT"
tests/apps/swift/in.sh swiftc -swift-version 5 -emit-module -parse-as-library -module-name CoreML \
  -o "$OUT/CoreML.swiftmodule" tests/apps/swift/stubs/CoreML.swift
# The bodies of all other files were checked when the package was built.
# shellcheck disable=SC2046  # one word a file
tests/apps/swift/in.sh swiftc -frontend -typecheck -swift-version 5 -warnings-as-errors -module-name EdgeformerRuntime \
  -enable-experimental-feature StrictConcurrency -I "$OUT" -primary-file "$ENGINE" \
  $(find runtime/ios/Sources/EdgeformerRuntime -name '*.swift' ! -path "$ENGINE")
