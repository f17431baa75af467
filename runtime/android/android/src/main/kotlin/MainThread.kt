package edgeformer.runtime.android

import android.os.Looper
import edgeformer.runtime.InputError

internal fun isMainThread(): Boolean = Looper.myLooper() == Looper.getMainLooper()

/** Raise InputError on the main thread, where [what] would freeze the app. */
internal fun refuseMainThread(what: String, isForbidden: () -> Boolean = ::isMainThread) {
    if (!isForbidden()) return
    throw InputError("$what takes too long for the main thread: call it from another one, as SessionLoader does")
}
