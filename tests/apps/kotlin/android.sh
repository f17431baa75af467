# Compiles the Android layer, of which only what touches nothing of Android is ever run here, packs the AAR, and
# compiles the sample app, every line of the guide, and what `edgeformer inspect` prints against it. Sourced by run.sh.
AAR=$TOOLS/edgeformer-runtime.aar

# Google's LiteRT is our own copy of its API, which goes elsewhere: nothing of it may get into the AAR.
rm -rf "$TOOLS/layer" "$TOOLS/litert" "$TOOLS/aar" "$TOOLS/guide" "$TOOLS/examples" "$TOOLS/names"
compile_for_android -module-name edgeformer-runtime-android "-Xfriend-paths=$TOOLS/core" \
  -cp "$ANDROID:$TOOLS/core:$LIBRARIES:$JAVA/jna.jar" -d "$TOOLS/layer" \
  runtime/android/android/src/main/kotlin tests/apps/kotlin/litert
mkdir -p "$TOOLS/litert"
mv "$TOOLS/layer/com" "$TOOLS/litert"

"$PYTHON" runtime/android/make_aar.py "$AAR" "$TOOLS/core" "$TOOLS/layer"
unzip -q "$AAR" classes.jar -d "$TOOLS/aar"

"$PYTHON" tests/apps/pasted.py android "$TOOLS/guide"
"$PYTHON" tests/apps/kotlin/guide.py examples/android_guide.md "$TOOLS/guide/Guide.kt"
compile_for_android -module-name examples -cp "$ANDROID:$TOOLS/aar/classes.jar:$TOOLS/litert:$LIBRARIES" \
  -d "$TOOLS/examples" examples/android/app/src/main/kotlin "$TOOLS/guide"

# Tests see names of Android and the JDK's own java.*.
unzip -q "$ANDROID" 'android/*' -d "$TOOLS/names"
