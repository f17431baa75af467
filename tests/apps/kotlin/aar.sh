#!/bin/sh
# Makes build/kotlin/edgeformer-runtime.aar, the library of Android apps: compiles runtime/android against the
# android.jar of API 23, so that nothing newer is used, and packs it. run.sh sources it.
set -eu
cd "$(dirname "$0")/../../.."
. tests/apps/kotlin/environment.sh
PYTHON="$PYTHON" tests/apps/kotlin/setup.sh
AAR=$TOOLS/edgeformer-runtime.aar

compile() {
  bash "$KOTLIN/../bin/kotlinc" -J-Xmx1g -no-stdlib -no-reflect -Werror "$@"
}

# 2.2: a Kotlin reads no classes of a much newer one, and Android's Gradle plugin 9.0 comes with 2.2. -jvm-target 1.8:
# what every Android build takes. -no-jdk: android.jar stands for it. The others keep classes small.
compile_for_android() {
  compile -language-version 2.2 -api-version 2.2 -no-jdk -jvm-target 1.8 -Xno-param-assertions -Xno-call-assertions \
    -Xno-receiver-assertions -Xno-source-debug-extension "$@"
}

rm -rf "$TOOLS/core" "$TOOLS/layer" "$TOOLS/litert"
compile_for_android -module-name edgeformer-runtime -cp "$ANDROID:$LIBRARIES" -d "$TOOLS/core" \
  runtime/android/core/src/main/kotlin
mkdir -p "$TOOLS/core/edgeformer"
cp runtime/unicode_table/unicode_table.txt "$TOOLS/core/edgeformer"

# Google's LiteRT is our own copy of its API, which goes elsewhere: nothing of it may get into the AAR.
compile_for_android -module-name edgeformer-runtime-android "-Xfriend-paths=$TOOLS/core" \
  -cp "$ANDROID:$TOOLS/core:$LIBRARIES:$JAVA/jna.jar" -d "$TOOLS/layer" \
  runtime/android/android/src/main/kotlin tests/apps/kotlin/litert
mkdir -p "$TOOLS/litert"
mv "$TOOLS/layer/com" "$TOOLS/litert"

"$PYTHON" runtime/android/make_aar.py "$AAR" "$TOOLS/core" "$TOOLS/layer"
echo "made $AAR"
