#!/bin/sh
# Makes the AAR, compiles the sample app, every line of the guide and what `edgeformer inspect` prints against it, and
# runs the runtime's tests on this machine's JVM: all of them, or the classes that are named (run.sh ImageTest). Of the
# Android layer only what touches nothing of Android is ever run here.
. "$(dirname "$0")/aar.sh"
. tests/apps/prepare.sh

rm -rf "$TOOLS/aar" "$TOOLS/guide" "$TOOLS/examples" "$TOOLS/names" "$TOOLS/test"
unzip -q "$AAR" classes.jar -d "$TOOLS/aar"
"$PYTHON" tests/apps/pasted.py android "$TOOLS/guide"
"$PYTHON" tests/apps/kotlin/guide.py examples/android_guide.md "$TOOLS/guide/Guide.kt"
compile_for_android -module-name examples -cp "$ANDROID:$TOOLS/aar/classes.jar:$TOOLS/litert:$LIBRARIES" \
  -d "$TOOLS/examples" examples/android/app/src/main/kotlin "$TOOLS/guide"

# Tests see names of Android and the JDK's own java.*.
unzip -q "$ANDROID" 'android/*' -d "$TOOLS/names"
compile -jvm-target 17 -module-name edgeformer-runtime-test "-Xfriend-paths=$TOOLS/core,$TOOLS/layer" \
  -cp "$TOOLS/core:$TOOLS/layer:$TOOLS/litert:$LIBRARIES:$TESTING:$TOOLS/names" -d "$TOOLS/test" \
  tests/apps/kotlin/test

SELECTED=--scan-classpath="$TOOLS/test"
[ $# = 0 ] || SELECTED=$(printf -- '--select-class=edgeformer.runtime.test.%s ' "$@")
export EDGEFORMER_AAR="$AAR"
# shellcheck disable=SC2086  # one class an argument
run_java -ea org.junit.platform.console.ConsoleLauncher --disable-banner --details=tree --fail-if-no-tests $SELECTED
