# Where setup.sh put the tools, and what the tests' classes run with. To be sourced in the checkout's root.
TOOLS=$PWD/build/kotlin
PYTHON=${PYTHON:-$PWD/.venv/bin/python}
KOTLIN=$TOOLS/node_modules/kotlin-compiler/lib
JAVA=$TOOLS/debian/usr/share/java
ANDROID=$TOOLS/android/usr/lib/android-sdk/platforms/android-23/android.jar
JUNIT=$JAVA/junit-jupiter-api.jar:$JAVA/junit-jupiter-engine.jar:$JAVA/junit-platform-commons.jar
JUNIT=$JUNIT:$JAVA/junit-platform-engine.jar:$JAVA/junit-platform-launcher.jar:$JAVA/junit-platform-console.jar
JUNIT=$JUNIT:$JAVA/junit-platform-reporting.jar:$JAVA/opentest4j.jar:$JAVA/apiguardian-api.jar:$JAVA/picocli.jar
LIBRARIES=$KOTLIN/kotlin-stdlib.jar:$TOOLS/onnxruntime
TESTING=$KOTLIN/kotlin-test.jar:$KOTLIN/kotlin-test-junit5.jar:$JUNIT:$JAVA/jna.jar

# run_java ARGUMENTS...: with the classes of runtime and tests, and the engines of this Python's packages.
run_java() {
  LIBRARY=$("$PYTHON" -c 'import onnxruntime; print(onnxruntime.__path__[0])')/capi
  LITERT=$("$PYTHON" -c 'import ai_edge_litert; print(list(ai_edge_litert.__path__)[0])')/libLiteRt.so
  EDGEFORMER_ORT_LIBRARY=$(ls "$LIBRARY"/libonnxruntime.so.*) EDGEFORMER_LITERT_LIBRARY=$LITERT \
    EDGEFORMER_PYTHON=$PYTHON exec java -Xmx1g -Donnxruntime.native.path="$TOOLS/native" \
    -cp "$TOOLS/test:$TOOLS/core:$TOOLS/layer:$TOOLS/litert:$LIBRARIES:$TESTING:$TOOLS/jna" "$@"
}
