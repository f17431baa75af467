package edgeformer.runtime.android.image

import android.content.Context
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.media.ExifInterface
import android.net.Uri
import edgeformer.runtime.InputError
import edgeformer.runtime.image.Picture
import java.io.File
import java.io.IOException

/** The pixels of [bitmap], of any configuration that `getPixels` reads, which gives them not premultiplied, in sRGB. */
fun pictureOf(bitmap: Bitmap): Picture {
    val pixels = IntArray(bitmap.width * bitmap.height)
    try {
        bitmap.getPixels(pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
    } catch (error: IllegalStateException) { // recycled, or Config.HARDWARE, whose pixels lie in the GPU
        throw InputError("bitmap ${bitmap.config}: ${error.message}: copy it to ARGB_8888 first", error)
    }
    return Picture(bitmap.width, bitmap.height, pixels)
}

/**
 * The picture in [file] (JPEG, PNG, WebP, GIF's first frame, HEIF where the device reads it), in full size, upright by
 * its EXIF orientation. Raises InputError.
 */
fun decodePicture(file: File): Picture {
    val options = BitmapFactory.Options()
    options.inPreferredConfig = Bitmap.Config.ARGB_8888
    options.inScaled = false
    options.inPremultiplied = false // half transparent pixels keep their colour
    val bitmap = try {
        BitmapFactory.decodeFile(file.path, options)
    } catch (error: OutOfMemoryError) {
        val size = "${options.outWidth} x ${options.outHeight}"
        throw InputError("picture ${file.name}: $size pixels don't fit the app's memory: make it smaller first", error)
    } ?: throw InputError("picture ${file.name}: Android can't decode it: expected a whole JPEG, PNG or WebP file")
    try {
        return upright(pictureOf(bitmap), orientationOf(file))
    } finally {
        bitmap.recycle()
    }
}

/**
 * As above, of what another app shares, a gallery for instance. It passes through the app's cache. Raises InputError.
 */
fun decodePicture(context: Context, uri: Uri): Picture {
    val file = File.createTempFile("edgeformer-picture", null, context.cacheDir)
    try {
        val source = context.contentResolver.openInputStream(uri) ?: throw IOException("its app gives nothing")
        source.use { from -> file.outputStream().use { from.copyTo(it) } }
        return decodePicture(file)
    } catch (error: IOException) {
        throw InputError("picture $uri can't be read: ${error.message}: pick it again", error)
    } catch (error: SecurityException) { // the permission went with the activity that was given it
        throw InputError("picture $uri may not be read any more: pick it again", error)
    } finally {
        file.delete()
    }
}

/** 1 to 8; 1 is upright, and what a file without EXIF has. */
private fun orientationOf(file: File): Int = try {
    ExifInterface(file.path).getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL)
} catch (_: IOException) { // not a kind of file that holds EXIF
    ExifInterface.ORIENTATION_NORMAL
}
