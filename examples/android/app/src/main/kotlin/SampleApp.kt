package edgeformer.sample

import android.app.Application
import edgeformer.runtime.android.SessionLoader
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors

/** Keeps the session while activities come and go, and the one thread that inference runs in. */
class SampleApp : Application() {
    val sessions: SessionLoader by lazy { SessionLoader(this, "bundle") }
    val worker: ExecutorService by lazy { Executors.newSingleThreadExecutor() }
}
