#!/bin/sh
# With the runtime that run.sh has built, which calls this: compiles and runs the Swift of examples/ios and of the guide,
# type-checks what `edgeformer inspect --for ios` prints, and what is for Apple's systems alone against stubs/.
set -eu
cd "$(dirname "$0")/../../.."
. tests/apps/swift/environment.sh
HERE=tests/apps/swift
BUILT=build/ios/package/debug
OUT=build/ios/examples
HEADERS="-Xcc -I$TOOLS/onnxruntime/usr/include -I runtime/ios/Sources/COnnxRuntime"
COMPILE="$HERE/in.sh swiftc -swift-version 5 -enable-experimental-feature StrictConcurrency"

rm -rf "$OUT"
mkdir -p "$OUT/apple"
cp -r tests/conformance/bundles/text-classification "$OUT/bundle"
awk '/^```swift/ { on = 1; next } /^```/ { on = 0; print "" } on' examples/ios_guide.md > "$OUT/guide.swift"

# shellcheck disable=SC2086  # one word an option
$COMPILE -warnings-as-errors $HEADERS -I "$BUILT/Modules" -o "$OUT/examples" \
  "$HERE/examples/main.swift" examples/ios/Sample/Sample.swift "$OUT/guide.swift" "$BUILT"/EdgeformerRuntime.build/*.o \
  -L "$EDGEFORMER_ONNXRUNTIME" -lonnxruntime -Xlinker -rpath -Xlinker "$EDGEFORMER_ONNXRUNTIME"
"$HERE/in.sh" "$OUT/examples" "$PWD/tests/conformance"
"$PYTHON" tests/apps/pasted.py ios "$OUT/pasted"
# shellcheck disable=SC2086
$COMPILE -typecheck -parse-as-library $HEADERS -I "$BUILT/Modules" "$OUT"/pasted/*.swift

for MODULE in CoreGraphics ImageIO SwiftUI PhotosUI; do
  $COMPILE -emit-module -parse-as-library -module-name "$MODULE" -I "$OUT/apple" -o "$OUT/apple/$MODULE.swiftmodule" \
    "$HERE/stubs/$MODULE.swift"
done
# Bodies of the runtime's functions are checked where they use the stubs; the others were above.
APPLE=runtime/ios/Sources/EdgeformerRuntime/image/ImageDecode.swift
OTHERS=$(find runtime/ios/Sources/EdgeformerRuntime -name '*.swift' ! -path "$APPLE")
# shellcheck disable=SC2086  # one word a file
$COMPILE -emit-module -module-name EdgeformerRuntime -I "$OUT/apple" -o "$OUT/apple/EdgeformerRuntime.swiftmodule" \
  -Xfrontend -experimental-skip-non-inlinable-function-bodies $APPLE $OTHERS
# shellcheck disable=SC2086
"$HERE/in.sh" swiftc -frontend -typecheck -module-name EdgeformerRuntime -I "$OUT/apple" -primary-file $APPLE $OTHERS
$COMPILE -typecheck -parse-as-library -I "$OUT/apple" examples/ios/Sample/*.swift "$OUT/guide.swift"
