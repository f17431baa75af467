package edgeformer.runtime.test

import edgeformer.runtime.bundle.readJson
import edgeformer.runtime.image.Picture
import java.io.File
import javax.imageio.ImageIO

/** tests/conformance, which every reader is held to; JSON data of it. */
internal object Conformance {
    val folder = File("tests/conformance")
    val names: List<String> =
        File(folder, "cases").list()!!.filter { it.endsWith(".json") }.map { it.removeSuffix(".json") }.sorted()

    fun bundle(name: String) = File(folder, "bundles/$name")

    fun cases(name: String): List<Map<String, Any?>> = list(obj(json("cases/$name.json"))["cases"]).map(::obj)

    fun json(path: String): Any? = readJson(File(folder, path).readBytes(), path, 1 shl 28)

    fun picture(path: String): Picture {
        val image = ImageIO.read(File(folder, "inputs/$path"))
        return Picture(image.width, image.height, image.getRGB(0, 0, image.width, image.height, null, 0, image.width))
    }
}

@Suppress("UNCHECKED_CAST")
internal fun obj(value: Any?) = value as Map<String, Any?>

@Suppress("UNCHECKED_CAST")
internal fun list(value: Any?) = value as List<Any?>

/** The numbers of nested lists, in order. */
internal fun numbers(value: Any?): List<Double> =
    if (value is List<*>) value.flatMap(::numbers) else listOf((value as Number).toDouble())

/** Sizes of nested lists. */
internal fun shapeOf(value: Any?): List<Int> =
    if (value is List<*>) listOf(value.size) + shapeOf(value[0]) else emptyList()
