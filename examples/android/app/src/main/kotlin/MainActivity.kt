package edgeformer.sample

import android.app.Activity
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import edgeformer.runtime.EdgeformerError
import edgeformer.runtime.Item
import edgeformer.runtime.Session
import edgeformer.runtime.android.image.decodePicture
import edgeformer.runtime.android.measuring.thermalStatus
import edgeformer.runtime.measuring.Protocol
import edgeformer.runtime.report.Report
import java.io.Closeable

private const val PICK_PICTURE = 1
private const val SAVE_REPORT = 2

/** A text or a picture in; label, time and agreement with the golden rows out; a report to keep. */
class MainActivity : Activity() {
    private val app get() = application as SampleApp
    private val screen by lazy { Screen(this) }
    private var loading: Closeable? = null
    private var session: Session? = null
    private var report: Report? = null

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        setContentView(screen.root)
        screen.classify.setOnClickListener { predict { Item.Text(screen.text.text.toString()) } }
        screen.pick.setOnClickListener {
            startActivityForResult(Intent(Intent.ACTION_GET_CONTENT).setType("image/*"), PICK_PICTURE)
        }
        screen.measure.setOnClickListener { measure() }
        screen.save.setOnClickListener {
            val target = Intent(Intent.ACTION_CREATE_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE)
            target.setType("application/json").putExtra(Intent.EXTRA_TITLE, "bench.json")
            startActivityForResult(target, SAVE_REPORT)
        }
    }

    override fun onStart() {
        super.onStart()
        loading = app.sessions.load { result ->
            result.onSuccess(::opened).onFailure { screen.state.text = it.message ?: it.toString() }
        }
    }

    override fun onStop() {
        loading?.close() // the load goes on; this activity hears no more of it
        super.onStop()
    }

    private fun opened(opened: Session) {
        session = opened
        screen.state.text = "${opened.manifest.name}: ${opened.variant.name} on ${opened.engine}\n${opened.selfCheck}"
        screen.enable(opened.manifest.preprocess.map { it.kind })
    }

    private fun predict(item: () -> Item) = inBackground("…") { session ->
        val row = item()
        val start = System.nanoTime()
        val prediction = session.predict(listOf(row)).single()
        val ms = (System.nanoTime() - start) / 1e6
        val lines = prediction.toJson().filterValues { it != null }.map { (name, value) -> "$name: $value" }
        (lines + "%.1f ms".format(ms)).joinToString("\n")
    }

    private fun measure() = inBackground("Measuring for some seconds; leave the device alone …") { session ->
        val thermal = thermalStatus(this)
        try {
            val found = session.benchmark(Protocol.QUICK, throttles = listOfNotNull(thermal))
            runOnUiThread {
                report = found
                screen.save.isEnabled = true
            }
            val median = "median %.2f ms of %d runs".format(found.latencyMs.p50, found.runs)
            (listOf(median) + found.invalid + found.notes).joinToString("\n")
        } finally {
            thermal?.close()
        }
    }

    /** Show what [work] says, or why it failed; the session may be closed meanwhile, which is such a reason. */
    private fun inBackground(meanwhile: String, work: (Session) -> String) {
        val session = session
        screen.result.text = if (session == null) "The bundle isn't open yet" else meanwhile
        if (session == null) return
        app.worker.execute {
            val told = try {
                work(session)
            } catch (error: EdgeformerError) {
                error.message.orEmpty()
            }
            runOnUiThread { screen.result.text = told }
        }
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        val uri = data?.data ?: return
        if (request == PICK_PICTURE) predict { Item.Image(decodePicture(this, uri)) }
        if (request == SAVE_REPORT) save(uri)
    }

    private fun save(uri: Uri) {
        val json = report?.toJson() ?: return
        inBackground("Saving …") {
            contentResolver.openOutputStream(uri)?.use { it.write(json.toByteArray()) }
            "saved: edgeformer report compare bench.json"
        }
    }
}
