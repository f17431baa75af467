// For Android Studio. Never built where this was written, since Gradle's Android plugin was out of reach: what is
// tested is tests/apps/kotlin/aar.sh, which compiles the same sources and packs them by make_aar.py.
plugins {
    id("com.android.library") version "8.10.1" apply false
    id("org.jetbrains.kotlin.android") version "2.2.10" apply false
    id("org.jetbrains.kotlin.jvm") version "2.2.10" apply false
}
