"""A file, bytes, an array or a picture of Pillow's as RGB bytes. What can't be one is an InputError with its name.

Pillow is imported when the first file or bytes come; arrays do without.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, Dict, Iterator, Union

import numpy as np

from ..errors import InputError
from ..foreign import first_line

if TYPE_CHECKING:
    from PIL.Image import Image

ImageSource = Union[str, "os.PathLike[str]", bytes, np.ndarray, "Image"]

MAX_PIXELS = 89_478_485  # Pillow's own limit: 256 MB as RGB. A larger picture is refused by its header
# Those of cameras, phones and the web. Pillow reads more, some of them by programs that it starts (EPS).
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
_SEVERAL_PHOTOGRAPHS = "MPO"  # a phone's: the first is the photograph, the others are previews and depth
_ORIENTATION = 274  # the EXIF tag
# What brings a picture with this orientation upright.
_UPRIGHT: Dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: pixels[::-1].transpose(1, 0, 2),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: pixels[:, ::-1].transpose(1, 0, 2),
}


def decode_image(source: ImageSource, name: str, alpha: str = "white") -> np.ndarray:
    """uint8 [height, width, 3], upright, of any ``source``; ``name`` is what messages call it.

    Arrays are uint8 [height, width], or with 1, 3 (RGB) or 4 (RGBA) channels last. ``alpha``: "white" lays what is
    transparent over white, "drop" takes it for opaque. Raises InputError.
    """
    if isinstance(source, np.ndarray):
        pixels = _of_array(source, name)
    elif isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)):
        pixels = _of_file(source, name, alpha)
    elif _is_pillow_image(source):
        with _readable(name):
            pixels = _of_pillow(source, name, alpha)
    else:
        raise InputError(
            f"{name}: expected a path, bytes, an array uint8 [height, width, 3] or a picture of Pillow's, "
            f"got {type(source).__name__}"
        )
    return _over_white(pixels) if alpha == "white" else pixels[..., :3]


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """uint8 [height, width, 1] of RGB: ITU-R 601-2 luma in Pillow's integers."""
    red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)[..., np.newaxis]


def _over_white(pixels: np.ndarray) -> np.ndarray:
    if pixels.shape[2] == 3:
        return pixels
    opacity = pixels[..., 3:].astype(np.uint16)
    mixed = pixels[..., :3] * opacity + 255 * (255 - opacity)  # up to 65,025
    return ((mixed + 127) // 255).astype(np.uint8)  # to the nearest: there are no halves of 255


def _of_array(array: np.ndarray, name: str) -> np.ndarray:
    """[height, width, 3 or 4]."""
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (1, 3, 4) or array.size == 0:
        raise InputError(
            f"{name}: expected an array uint8 [height, width], [height, width, 3] or [height, width, 4], got "
            f"{array.dtype} {list(array.shape)}: scale floats to 0…255, and put channels last"
        )
    _check_pixels(array.shape[1], array.shape[0], name)
    if channels == 1:
        return np.broadcast_to(array.reshape(*array.shape[:2], 1), (*array.shape[:2], 3))
    return array


def _is_pillow_image(source: object) -> bool:
    module = sys.modules.get("PIL.Image")  # whoever holds one has imported it
    return module is not None and isinstance(source, module.Image)


def _of_file(source: Any, name: str, alpha: str) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(
            f"{name}: reading files of pictures takes Pillow, which can't be imported ({error}): "
            "pip install 'edgeformer-runtime[image]', or pass the pixels as an array uint8 [height, width, 3]"
        ) from error
    Image.init()
    formats = [known for known in FORMATS if known in Image.OPEN]
    with _opened(source, name) as file, _readable(name), Image.open(file, formats=formats) as image:
        _check_pixels(image.width, image.height, name)
        if image.format != _SEVERAL_PHOTOGRAPHS and getattr(image, "is_animated", False):
            raise InputError(
                f"{name}: holds several pictures ({image.format}), and nothing says which is meant: "
                "pass the one that is, as an array or a picture of Pillow's"
            )
        return _of_pillow(image, name, alpha)


def _opened(source: Any, name: str) -> BinaryIO:
    if not isinstance(source, (str, os.PathLike)):
        return io.BytesIO(source)
    path = Path(source)
    try:
        if path.exists() and not path.is_file():  # a device could be read for ever
            raise InputError(f"{name}: expected a file of a picture, got a directory or a device")
        return path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: no name of a file at all
        raise InputError(f"{name[:200]}: can't be opened: {getattr(error, 'strerror', error)}") from error


def _of_pillow(image: Any, name: str, alpha: str) -> np.ndarray:
    """[height, width, 3 or 4] of the frame that the picture stands at."""
    _check_pixels(image.width, image.height, name)
    image.load()
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):  # Pillow < 11: I
        # convert() would clip at 255. Pillow reads 16-bit RGB by its high bytes: here grey is read so too.
        grey = np.asarray(image).clip(0, 65535) >> 8
        pixels = np.repeat(grey.astype(np.uint8)[..., np.newaxis], 3, axis=2)
    elif image.mode in ("I", "F"):
        raise InputError(
            f"{name}: its pixels are 32-bit numbers (mode {image.mode}), whose range the file doesn't say: "
            "scale them to 0…255 and pass an array uint8"
        )
    else:
        transparent = "A" in image.getbands() or image.info.get("transparency") is not None
        pixels = np.asarray(image.convert("RGBA" if transparent and alpha == "white" else "RGB"))
    turned = _UPRIGHT.get(_orientation(image))
    return pixels if turned is None else turned(pixels)


def _orientation(image: Any) -> int:
    """The EXIF orientation; 1 (upright) where there is none, or nothing that can be read as EXIF."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # the pixels are sound: the block beside them is what libraries raise all kinds of errors over
        return 1
    return value if isinstance(value, int) else 1


def _check_pixels(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name}: has {width} x {height} pixels: expected at most {MAX_PIXELS} in all. Scale it down before"
        )
    if width * height == 0:
        raise InputError(f"{name}: has {width} x {height} pixels: expected at least one")


@contextlib.contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turns what Pillow raises over a damaged file into one sentence, and keeps its warnings from the screen."""
    try:
        with _NO_WARNINGS:
            yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # OSError, SyntaxError, ValueError, struct.error, zlib.error, … of any decoder
        from PIL import Image, UnidentifiedImageError

        if isinstance(error, UnidentifiedImageError):
            raise InputError(f"{name}: no picture, or damaged: expected one of {', '.join(FORMATS)}") from error
        if isinstance(error, Image.DecompressionBombError):
            raise InputError(
                f"{name}: {first_line(error)}: expected at most {MAX_PIXELS} pixels. Scale it down before"
            ) from error
        raise InputError(
            f"{name}: can't be decoded ({first_line(error)}): it is damaged or truncated, get it again"
        ) from error


class _NoWarnings:
    """Ignores warnings while anyone is inside; unlike catch_warnings it may be entered by several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._catcher = warnings.catch_warnings()
                self._catcher.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._catcher.__exit__(None, None, None)


_NO_WARNINGS = _NoWarnings()
