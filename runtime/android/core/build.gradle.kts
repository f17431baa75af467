// The core as a jar for a JVM. An app takes :android, which has the core's classes in it.
plugins { id("org.jetbrains.kotlin.jvm") }

java {
    sourceCompatibility = JavaVersion.VERSION_1_8
    targetCompatibility = JavaVersion.VERSION_1_8
}
kotlin { compilerOptions { jvmTarget.set(org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_1_8) } }

dependencies { compileOnly("com.microsoft.onnxruntime:onnxruntime:1.22.0") }

tasks.processResources { from("../../unicode_table/unicode_table.txt") { into("edgeformer") } }
