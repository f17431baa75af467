package edgeformer.runtime

/** Root of every error that the runtime raises on purpose. A message says what, where, expected, found, what to do. */
open class EdgeformerError(message: String, cause: Throwable? = null) : Exception(message, cause)

/** The call, or something that it hands over, is wrong. */
class InputError(message: String, cause: Throwable? = null) : EdgeformerError(message, cause)

/** No engine here can run the variant, or the engine failed while running it. */
class EngineError(message: String, cause: Throwable? = null) : EdgeformerError(message, cause)

/** A sensor gives no value, now or at all; the message says why. */
open class SensorError(message: String, cause: Throwable? = null) : EdgeformerError(message, cause)

/**
 * What is wrong with a bundle, the same in every language; FORMAT.md says when. [text] is the code as it stands there.
 */
enum class ErrorCode(val text: String) {
    NOT_A_BUNDLE("not-a-bundle"),
    JSON("json"),
    FORMAT_VERSION("format-version"),
    MANIFEST("manifest"),
    CHECKSUM("checksum"),
    PATH("path"),
    FILES("files"),
    ZIP("zip"),
    SIGNATURE("signature"),
    GOLDEN("golden"),
    BUNDLE("bundle"),
}

/** A bundle is damaged, altered, unsafe to open, or newer than this runtime. */
open class RuntimeBundleError(message: String, val code: ErrorCode = ErrorCode.BUNDLE, cause: Throwable? = null) :
    EdgeformerError(message, cause)
