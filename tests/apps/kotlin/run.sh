#!/bin/sh
# Compiles runtime/android against the android.jar of API 23, so that nothing newer is used, and runs its tests on this
# machine's JVM: all of them, or the classes that are named (run.sh ImageTest).
set -eu
cd "$(dirname "$0")/../../.."
TOOLS=$PWD/build/kotlin
PYTHON=${PYTHON:-$PWD/.venv/bin/python}
PYTHON="$PYTHON" tests/apps/kotlin/setup.sh
. tests/apps/prepare.sh

KOTLIN=$TOOLS/node_modules/kotlin-compiler/lib
JAVA=$TOOLS/debian/usr/share/java
ANDROID=$TOOLS/android/usr/lib/android-sdk/platforms/android-23/android.jar
JUNIT=$JAVA/junit-jupiter-api.jar:$JAVA/junit-jupiter-engine.jar:$JAVA/junit-platform-commons.jar
JUNIT=$JUNIT:$JAVA/junit-platform-engine.jar:$JAVA/junit-platform-launcher.jar:$JAVA/junit-platform-console.jar
JUNIT=$JUNIT:$JAVA/junit-platform-reporting.jar:$JAVA/opentest4j.jar:$JAVA/apiguardian-api.jar:$JAVA/picocli.jar
LIBRARIES=$KOTLIN/kotlin-stdlib.jar:$TOOLS/onnxruntime
compile() {
  bash "$KOTLIN/../bin/kotlinc" -J-Xmx1g -no-stdlib -no-reflect -Werror "$@"
}

# -jvm-target 1.8: what every Android build takes. -no-jdk: android.jar stands for it. The others keep classes small.
compile_for_android() {
  compile -no-jdk -jvm-target 1.8 -Xno-param-assertions -Xno-call-assertions -Xno-receiver-assertions \
    -Xno-source-debug-extension "$@"
}

rm -rf "$TOOLS/core" "$TOOLS/test"
compile_for_android -module-name edgeformer-runtime -cp "$ANDROID:$LIBRARIES" -d "$TOOLS/core" \
  runtime/android/core/src/main/kotlin
mkdir -p "$TOOLS/core/edgeformer"
cp runtime/unicode_table/unicode_table.txt "$TOOLS/core/edgeformer"
. tests/apps/kotlin/android.sh
compile -jvm-target 17 -module-name edgeformer-runtime-test "-Xfriend-paths=$TOOLS/core,$TOOLS/layer" \
  -cp "$TOOLS/core:$TOOLS/layer:$LIBRARIES:$KOTLIN/kotlin-test.jar:$JUNIT:$TOOLS/names" -d "$TOOLS/test" \
  tests/apps/kotlin/test

LIBRARY=$("$PYTHON" -c 'import onnxruntime; print(onnxruntime.__path__[0])')/capi
LIBRARY=$(ls "$LIBRARY"/libonnxruntime.so.*)
SELECTED=--scan-classpath="$TOOLS/test"
[ $# = 0 ] || SELECTED=$(printf -- '--select-class=edgeformer.runtime.test.%s ' "$@")
# shellcheck disable=SC2086  # one class an argument
EDGEFORMER_AAR=$AAR EDGEFORMER_ORT_LIBRARY=$LIBRARY EDGEFORMER_PYTHON=$PYTHON exec java -Xmx1g -ea \
  -Donnxruntime.native.path="$TOOLS/native" \
  -cp "$TOOLS/test:$TOOLS/core:$TOOLS/layer:$LIBRARIES:$KOTLIN/kotlin-test.jar:$KOTLIN/kotlin-test-junit5.jar:$JUNIT" \
  org.junit.platform.console.ConsoleLauncher --disable-banner --details=tree --fail-if-no-tests $SELECTED
