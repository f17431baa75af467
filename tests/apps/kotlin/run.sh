#!/bin/sh
# Compiles runtime/android against the android.jar of API 23, so that nothing newer is used, and runs its tests on this
# machine's JVM: all of them, or the classes that are named (run.sh ImageTest).
set -eu
cd "$(dirname "$0")/../../.."
. tests/apps/kotlin/environment.sh
PYTHON="$PYTHON" tests/apps/kotlin/setup.sh
. tests/apps/prepare.sh

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
  -cp "$TOOLS/core:$TOOLS/layer:$TOOLS/litert:$LIBRARIES:$TESTING:$TOOLS/names" -d "$TOOLS/test" \
  tests/apps/kotlin/test

SELECTED=--scan-classpath="$TOOLS/test"
[ $# = 0 ] || SELECTED=$(printf -- '--select-class=edgeformer.runtime.test.%s ' "$@")
export EDGEFORMER_AAR="$AAR"
# shellcheck disable=SC2086  # one class an argument
run_java -ea org.junit.platform.console.ConsoleLauncher --disable-banner --details=tree --fail-if-no-tests $SELECTED
