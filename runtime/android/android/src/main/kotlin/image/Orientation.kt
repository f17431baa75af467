package edgeformer.runtime.android.image

import edgeformer.runtime.image.Picture

/**
 * [picture] as it is to be seen, by its EXIF [orientation]: 2 mirrored, 3 turned by 180°, 4 upside down mirrored,
 * 5 to 8 with rows and columns exchanged. 1, and what EXIF doesn't know, leave it as it is.
 */
internal fun upright(picture: Picture, orientation: Int): Picture {
    if (orientation !in 2..8) return picture
    val (width, height) = picture.width to picture.height
    val exchanged = orientation >= 5
    val fromRight = orientation in setOf(2, 3, 7, 8)
    val fromBelow = orientation in setOf(3, 4, 6, 7)
    val (newWidth, newHeight) = if (exchanged) height to width else width to height
    val turned = IntArray(picture.argb.size)
    for (row in 0 until newHeight) {
        for (column in 0 until newWidth) {
            val x = if (exchanged) row else column
            val y = if (exchanged) column else row
            turned[row * newWidth + column] =
                picture.argb[(if (fromBelow) height - 1 - y else y) * width + (if (fromRight) width - 1 - x else x)]
        }
    }
    return Picture(newWidth, newHeight, turned)
}
