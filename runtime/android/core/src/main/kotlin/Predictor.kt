package edgeformer.runtime

import edgeformer.runtime.audio.AudioEncoder
import edgeformer.runtime.audio.AudioPreprocess
import edgeformer.runtime.audio.Sound
import edgeformer.runtime.bundle.Bundle
import edgeformer.runtime.image.ImageEncoder
import edgeformer.runtime.image.ImagePreprocess
import edgeformer.runtime.image.Picture
import edgeformer.runtime.selection.inputsFedBy
import edgeformer.runtime.tasks.Embedding
import edgeformer.runtime.tasks.Encoded
import edgeformer.runtime.tasks.Prediction
import edgeformer.runtime.tasks.Task
import edgeformer.runtime.tasks.ZeroShotImageClassification
import edgeformer.runtime.tasks.checkLabels
import edgeformer.runtime.tasks.checkToldApart
import edgeformer.runtime.tasks.storedVectors
import edgeformer.runtime.tasks.taskOf
import edgeformer.runtime.text.TextEncoder
import edgeformer.runtime.text.TextPreprocess
import edgeformer.runtime.text.checkPreprocessing

private const val MAX_LABEL_SETS = 16

/** What a prediction is made of. */
sealed class Item {
    /** A text, or with [second] a pair. */
    data class Text(val text: String, val second: String? = null) : Item()

    class Image(val picture: Picture) : Item()

    class ImageText(val picture: Picture, val text: String) : Item()

    /** `Audio(Sound.ofWav(bytes))`, or samples as the microphone gives them. */
    class Audio(val sound: Sound) : Item()
}

/** What makes inputs of texts; null where a bundle doesn't say how. Raises RuntimeBundleError for its tokenizer. */
internal fun textEncoder(bundle: Bundle): TextEncoder? {
    val manifest = bundle.manifest
    val preprocess = manifest.preprocess.filterIsInstance<TextPreprocess>().firstOrNull() ?: return null
    val inputs = inputsFedBy("text", manifest.preprocess.map { it.kind }, manifest.inputs)
    return TextEncoder(bundle.read(preprocess.tokenizer), preprocess, inputs)
}

/**
 * What `Session.predict` and `Session.embed` do, by any [run] of tensors. [encoder]: the bundle's [textEncoder].
 * [checks]: golden texts must become their tokens.
 */
internal class Predictor(
    private val bundle: Bundle,
    encoder: TextEncoder?,
    checks: Boolean,
    private val run: (Map<String, Tensor>) -> Map<String, Tensor>,
) {
    private val manifest = bundle.manifest
    private val task: Task
    private val texts: TextEncoder? by lazy { encoder?.also { if (checks) checkPreprocessing(bundle, it) } }
    private val images: ImageEncoder? by lazy {
        manifest.preprocess.filterIsInstance<ImagePreprocess>().firstOrNull()?.let(::ImageEncoder)
    }
    private val sounds: AudioEncoder? by lazy {
        manifest.preprocess.filterIsInstance<AudioPreprocess>().firstOrNull()?.let(::AudioEncoder)
    }
    private val labelled = LinkedHashMap<List<String>, ZeroShotImageClassification>()

    init {
        (manifest.skipped("task") + manifest.skipped("preprocess")).firstOrNull()?.let {
            throw InputError(
                "bundle '${manifest.name}': ${it.part} '${it.name}': ${it.reason}: update the runtime, or use " +
                    "Session.run with arrays"
            )
        }
        task = taskOf(manifest.task, manifest.outputs) ?: throw takesArrays("task ${manifest.task.kind}")
    }

    /** One row at a time: engines that quantize activations share a scale among the rows of a call. */
    fun predict(items: List<Item>, prompt: String?, labels: List<String>?): List<Prediction> {
        val task = task
        if (task !is ZeroShotImageClassification) {
            if (labels != null) {
                throw InputError("labels: task ${task.spec.kind} has those of its model: leave them out")
            }
            return items.map { predicted(task, encoded(it, task.kinds, prompt)) }
        }
        val chosen = withLabels(task, labels)
        return items.map { predicted(chosen, encoded(it, task.kinds, prompt)) }
    }

    private fun predicted(task: Task, encoded: Encoded): Prediction = task.predict(run(encoded.feeds), encoded)

    fun embed(items: List<Item>, kind: String, prompt: String?): List<Embedding> {
        val output = task.embeds.indexOf(kind)
        if (output < 0) {
            throw InputError(
                "embed '$kind': task ${task.spec.kind} gives vectors of " +
                    "${task.embeds.joinToString().ifEmpty { "nothing" }}"
            )
        }
        return items.map { item ->
            val encoded = encoded(item, listOf(kind), prompt)
            Embedding(encoded, task.vector(task.output(run(encoded.feeds), output)))
        }
    }

    private fun encoded(item: Item, kinds: List<String>, prompt: String?): Encoded = when {
        kinds == listOf("text") && item is Item.Text -> text(item.text, item.second, prompt)
        kinds == listOf("image") && item is Item.Image -> image(item.picture, prompt)
        kinds == listOf("audio") && item is Item.Audio -> audio(item.sound, prompt)
        kinds == listOf("image", "text") && item is Item.ImageText -> {
            val text = text(item.text, null, prompt)
            Encoded(image(item.picture, null).feeds + text.feeds, text.tokens, text.truncated, text.tokensCut)
        }
        else -> throw InputError(
            "predict: this model takes ${kinds.joinToString(" with ")}, got ${item.javaClass.simpleName}"
        )
    }

    private fun text(text: String, second: String?, prompt: String?): Encoded =
        (texts ?: throw takesArrays("it was compiled without a tokenizer")).encode(text, second, prompt)

    private fun audio(sound: Sound, prompt: String?): Encoded {
        refusePrompt(prompt, "sounds")
        return (sounds ?: throw takesArrays("it was compiled without a description of its sounds")).encode(sound)
    }

    private fun refusePrompt(prompt: String?, kind: String) {
        if (!prompt.isNullOrEmpty()) throw InputError("prompt '$prompt': this model takes $kind, which have none")
    }

    private fun image(picture: Picture, prompt: String?): Encoded {
        refusePrompt(prompt, "pictures")
        return Encoded(
            (images ?: throw takesArrays("it was compiled without a description of its pictures")).encode(picture)
        )
    }

    private fun takesArrays(why: String) =
        InputError("bundle '${manifest.name}' takes arrays alone ($why): use Session.run")

    /** The task between [labels]; the bundle's own may come with their vectors, others are run once. */
    private fun withLabels(task: ZeroShotImageClassification, labels: List<String>?): ZeroShotImageClassification {
        val own = manifest.task
        if (labels == null && own.labels.isEmpty()) {
            throw InputError("bundle '${manifest.name}' has no labels of its own: name them")
        }
        val wanted = labels ?: own.labels
        checkLabels(wanted)
        synchronized(labelled) {
            labelled[wanted]?.let { return it }
            val vectors = if (own.labelVectors != null && wanted == own.labels) {
                storedVectors(bundle.read(own.labelVectors), wanted.size)
            } else {
                val found = embed(wanted.map { Item.Text(task.text(it)) }, "text", null)
                checkToldApart(wanted, found)
                found.map { it.embedding }
            }
            if (labelled.size >= MAX_LABEL_SETS) labelled.clear()
            return task.withLabels(wanted, vectors).also { labelled[wanted] = it }
        }
    }
}
