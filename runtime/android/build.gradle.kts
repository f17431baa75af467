// For Android Studio. Never built where this was written, since Gradle's Android plugin was out of reach: what is
// tested is tests/apps/kotlin/run.sh, which compiles the same sources and packs them by make_aar.py.
plugins {
    id("com.android.library") version "8.7.3" apply false
    id("org.jetbrains.kotlin.android") version "2.1.0" apply false
    id("org.jetbrains.kotlin.jvm") version "2.1.0" apply false
}
