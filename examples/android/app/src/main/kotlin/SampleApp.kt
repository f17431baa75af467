package edgeformer.sample

import android.app.Application
import edgeformer.runtime.android.SessionLoader
import edgeformer.runtime.android.engines.LiteRtEngine
import edgeformer.runtime.android.sessionOptions
import edgeformer.runtime.engines.OnnxRuntimeEngine
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors

/** Keeps the session while activities come and go, and the one thread that inference runs in. */
class SampleApp : Application() {
    val sessions: SessionLoader by lazy {
        val engines = listOf(LiteRtEngine("2.1.5"), OnnxRuntimeEngine()) // whichever the bundle has a variant for
        SessionLoader(this, "bundle", sessionOptions(this, engines))
    }
    val worker: ExecutorService by lazy { Executors.newSingleThreadExecutor() }
}
