package edgeformer.sample

import android.content.Context
import android.widget.Button
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.ScrollView
import android.widget.TextView

private const val PADDING_DP = 16

/** What is on the screen, of Android's own views. */
class Screen(private val context: Context) {
    private val column = LinearLayout(context).apply {
        orientation = LinearLayout.VERTICAL
        val pixels = (PADDING_DP * resources.displayMetrics.density).toInt()
        setPadding(pixels, pixels, pixels, pixels)
    }
    val root: ScrollView = ScrollView(context).apply { addView(column) }

    val state: TextView = added(TextView(context)).apply { text = "Opening the bundle …" }
    val text: EditText = added(EditText(context)).apply { hint = "A text" }
    val classify: Button = button("Classify the text")
    val pick: Button = button("Pick a picture")
    val result: TextView = added(TextView(context)).apply {
        setTextIsSelectable(true)
        accessibilityLiveRegion = TextView.ACCESSIBILITY_LIVE_REGION_POLITE // read out when it changes
    }
    val measure: Button = button("Measure")
    val save: Button = button("Save the report")

    /** Let in what the model takes: [kinds] of preprocessing. */
    fun enable(kinds: List<String>) {
        text.isEnabled = "text" in kinds
        classify.isEnabled = "text" in kinds
        pick.isEnabled = "image" in kinds
        measure.isEnabled = true
    }

    private fun button(label: String) = added(Button(context)).apply {
        text = label
        isEnabled = false
    }

    private fun <T : android.view.View> added(view: T): T = view.also(column::addView)
}
