plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "edgeformer.sample"
    compileSdk = 35

    defaultConfig {
        applicationId = "edgeformer.sample"
        minSdk = 24 // the engines; the runtime itself needs 23
        targetSdk = 35
    }
    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
        }
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    androidResources { noCompress += listOf("onnx", "tflite", "bin") }
}

kotlin { compilerOptions { jvmTarget.set(org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_1_8) } }

dependencies {
    implementation(files("libs/edgeformer-runtime.aar"))
    implementation("com.google.ai.edge.litert:litert:2.1.5")
    implementation("com.microsoft.onnxruntime:onnxruntime-android:1.22.0")
}
