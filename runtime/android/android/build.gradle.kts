plugins {
    id("com.android.library")
    id("org.jetbrains.kotlin.android")
}

// A resource of the tokenizers, made once for all languages.
val unicodeTable by tasks.registering(Copy::class) {
    from("../../unicode_table/unicode_table.txt")
    into(layout.buildDirectory.dir("unicode_table/edgeformer"))
}

android {
    namespace = "edgeformer.runtime.android"
    compileSdk = 35

    defaultConfig {
        minSdk = 23
        consumerProguardFiles("consumer-rules.pro")
    }
    sourceSets["main"].apply {
        kotlin.srcDir("../core/src/main/kotlin") // one AAR, with nothing to add beside it but an engine
        resources.srcDir(layout.buildDirectory.dir("unicode_table"))
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
}

kotlin { compilerOptions { jvmTarget.set(org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_1_8) } }

tasks.named("preBuild") { dependsOn(unicodeTable) }

// The app chooses its engine.
dependencies {
    compileOnly("com.microsoft.onnxruntime:onnxruntime-android:1.22.0")
    compileOnly("com.google.ai.edge.litert:litert:2.1.5")
}
