package edgeformer.runtime.image

import edgeformer.runtime.InputError

private const val MAX_PIXELS = 89_478_485L

/**
 * A decoded, upright picture: [argb] holds a pixel each as `Bitmap.getPixels` gives it (0xAARRGGBB, not premultiplied),
 * rows from the top. Raises InputError where the count doesn't fit, or is more than 89,478,485.
 *
 * Decoding is the platform's: on Android `BitmapFactory` and the EXIF orientation.
 */
class Picture(val width: Int, val height: Int, val argb: IntArray) {
    init {
        if (width < 1 || height < 1 || width.toLong() * height != argb.size.toLong() || argb.size > MAX_PIXELS) {
            throw InputError(
                "picture of $width x $height pixels: expected at most $MAX_PIXELS, all of them there; got ${argb.size}"
            )
        }
    }
}
