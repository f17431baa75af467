# Compiles the Android layer, of which only what touches nothing of Android is ever run here, packs the AAR, and
# compiles the sample app, every line of the guide, and what `edgeformer inspect` prints against it. Sourced by run.sh.
AAR=$TOOLS/edgeformer-runtime.aar

# Classes of Google's LiteRT are our own stubs, and go elsewhere: nothing of them may get into the AAR.
rm -rf "$TOOLS/layer" "$TOOLS/stubs" "$TOOLS/aar" "$TOOLS/guide" "$TOOLS/examples" "$TOOLS/names"
compile_for_android -module-name edgeformer-runtime-android "-Xfriend-paths=$TOOLS/core" \
  -cp "$ANDROID:$TOOLS/core:$LIBRARIES" -d "$TOOLS/layer" \
  runtime/android/android/src/main/kotlin tests/apps/kotlin/stubs
mkdir -p "$TOOLS/stubs"
mv "$TOOLS/layer/com" "$TOOLS/stubs"

"$PYTHON" runtime/android/make_aar.py "$AAR" "$TOOLS/core" "$TOOLS/layer"
unzip -q "$AAR" classes.jar -d "$TOOLS/aar"

mkdir -p "$TOOLS/guide"
"$PYTHON" tests/apps/kotlin/guide.py examples/android_guide.md "$TOOLS/guide/Guide.kt"
"$PYTHON" tests/apps/pasted.py android "$TOOLS/guide/pasted"
compile_for_android -module-name examples -cp "$ANDROID:$TOOLS/aar/classes.jar:$TOOLS/stubs:$LIBRARIES" \
  -d "$TOOLS/examples" examples/android/app/src/main/kotlin "$TOOLS/guide"

# Tests see names of Android and the JDK's own java.*.
unzip -q "$ANDROID" 'android/*' -d "$TOOLS/names"
