package edgeformer.runtime.android.assets

import android.content.res.AssetManager
import java.io.FileNotFoundException
import java.io.InputStream

/** One asset, open. [isCompressed]: the packager deflated it, so that nobody can map it or read it by a descriptor. */
internal class Asset(val content: InputStream, val isCompressed: Boolean)

/** Files of a bundle among an app's assets, by their path in the bundle. */
internal fun interface AssetSource {
    /** Raises FileNotFoundException where there is no such asset. */
    fun open(path: String): Asset
}

/** [folder] of the app's assets; an uncompressed asset is read by its file descriptor. */
internal class AppAssets(private val assets: AssetManager, private val folder: String) : AssetSource {
    override fun open(path: String): Asset = try {
        Asset(assets.openFd("$folder/$path").createInputStream(), isCompressed = false)
    } catch (_: FileNotFoundException) { // compressed, or not there at all, which open tells
        Asset(assets.open("$folder/$path", AssetManager.ACCESS_STREAMING), isCompressed = true)
    }
}
