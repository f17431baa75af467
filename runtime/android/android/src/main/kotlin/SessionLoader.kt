package edgeformer.runtime.android

import android.content.Context
import android.os.Handler
import android.os.Looper
import android.util.Log
import edgeformer.runtime.InputError
import edgeformer.runtime.Session
import edgeformer.runtime.SessionOptions
import edgeformer.runtime.android.assets.AssetBundle
import edgeformer.runtime.engines.Engine
import edgeformer.runtime.engines.OnnxRuntimeEngine
import java.io.Closeable
import java.io.File
import java.util.concurrent.CancellationException
import kotlin.concurrent.thread

/**
 * What an app's session is opened with: what is found out is kept without backup, model files pass through its cache.
 */
fun sessionOptions(context: Context, engines: List<Engine> = listOf(OnnxRuntimeEngine())) = SessionOptions(
    engines = engines,
    memory = File(context.noBackupFilesDir, "edgeformer"),
    temporary = context.cacheDir,
)

/**
 * Copy the bundle at `assets/`[folder] where engines can load it, unless that was done before, and open it. What
 * [AssetBundle] notes goes to the log. Raises as [AssetBundle.directory] and [Session.open], and InputError on the main
 * thread.
 */
fun openFromAssets(
    context: Context,
    folder: String,
    options: SessionOptions = sessionOptions(context),
    isCancelled: () -> Boolean = { false },
): Session {
    refuseMainThread("opening a bundle")
    val bundle = AssetBundle(context, folder)
    val directory = bundle.directory(isCancelled)
    for (note in bundle.notes) Log.i("edgeformer", note)
    return Session.open(directory, options)
}

/**
 * Opens one session in a thread of its own and keeps it, however often activities come and go: hold it in the
 * `Application`.
 *
 * An activity calls [load] when it starts, and closes what that gives when it stops. The load goes on meanwhile, and
 * the next activity gets what comes of it.
 */
class SessionLoader internal constructor(
    private val deliver: (() -> Unit) -> Unit,
    private val open: (isCancelled: () -> Boolean) -> Session,
) : Closeable {
    /** Of the bundle at `assets/`[folder]; listeners are called on the main thread. */
    constructor(context: Context, folder: String, options: SessionOptions = sessionOptions(context)) : this(
        { isCancelled -> openFromAssets(context.applicationContext, folder, options, isCancelled) },
    )

    /** By [open], which runs in the loader's thread; listeners are called on the main thread. */
    constructor(open: (isCancelled: () -> Boolean) -> Session) : this(toMainThread(), open)

    private val waiting = ArrayList<Registration>()
    private var session: Session? = null
    private var isLoading = false

    @Volatile
    private var isClosed = false

    /**
     * Give the session, or why there is none, to [listener]: once, unless what this returns is closed before. Begins to
     * load where nothing is loaded; after a failure that is tried anew. Raises InputError once the loader is closed.
     */
    fun load(listener: (Result<Session>) -> Unit): Closeable {
        val registration = Registration(listener)
        val ready = synchronized(this) {
            if (isClosed) throw InputError("the loader is closed: make another one")
            if (session == null) waiting += registration
            if (session == null && !isLoading) {
                isLoading = true
                thread(name = "edgeformer-load") { loadNow() }
            }
            session
        }
        if (ready != null) tell(listOf(registration), Result.success(ready))
        return registration
    }

    private fun loadNow() {
        val result = try {
            Result.success(open { isClosed })
        } catch (error: Throwable) { // the listener's to judge, OutOfMemoryError too
            Result.failure(error)
        }
        val told = synchronized(this) {
            isLoading = false
            if (isClosed) null else waited().also { session = result.getOrNull() }
        }
        if (told == null) result.getOrNull()?.close() else tell(told, result)
    }

    private fun waited(): List<Registration> = waiting.toList().also { waiting.clear() }

    private fun tell(told: List<Registration>, result: Result<Session>) = deliver {
        val given = if (isClosed) Result.failure(CancellationException("the loader was closed")) else result
        for (registration in told) registration.listener?.invoke(given)
    }

    /**
     * Cancel a load, close the session, and tell whoever waits by a CancellationException. A model that an engine is
     * loading is closed as soon as it is there. Twice is harmless.
     */
    override fun close() {
        val (last, told) = synchronized(this) {
            isClosed = true
            (session to waited()).also { session = null }
        }
        last?.close()
        tell(told, Result.failure(CancellationException()))
    }

    /** Forgets its listener, and with it the activity, when it is closed. */
    private class Registration(@Volatile var listener: ((Result<Session>) -> Unit)?) : Closeable {
        override fun close() {
            listener = null
        }
    }
}

private fun toMainThread(): (() -> Unit) -> Unit {
    val main = Handler(Looper.getMainLooper())
    return { call -> main.post(call) }
}
