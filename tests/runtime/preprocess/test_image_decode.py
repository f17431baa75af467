"""Files, bytes, arrays and pictures of Pillow's as RGB; what can't be one is refused by name."""

import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeformer_runtime.errors import InputError
from edgeformer_runtime.preprocess import image_decode
from edgeformer_runtime.preprocess.image_decode import MAX_PIXELS, decode_image, to_grey

Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)


def saved(image, kind="PNG", **more):
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def png(width, height, body=b"", bit_depth=8, color_type=2):
    """A PNG of any header, sound or not."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bit_depth, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def refusal(source, name="cat.png"):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning would be another error
        with pytest.raises(InputError) as caught:
            decode_image(source, name)
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def outcome(source):
    try:
        return decode_image(source, "cat.png").dtype.name
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV"])
def test_opaque_modes_are_converted_as_pillow_converts(mode):
    image = Image.fromarray(PIXELS[..., :3]).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(decode_image(image, "a"), expected)
    if mode not in ("HSV", "YCbCr"):  # older versions write files of these that they can't read
        np.testing.assert_array_equal(decode_image(saved(image, "TIFF"), "a"), expected)


@given(st.integers(0, 255), st.integers(0, 255))
def test_alpha_over_white_is_pillows(value, opacity):
    pixels = np.array([[[value, 0, 255, opacity]]], np.uint8)
    white = Image.new("RGBA", (1, 1), (255, 255, 255, 255))
    expected = np.asarray(Image.alpha_composite(white, Image.fromarray(pixels)).convert("RGB"))
    np.testing.assert_array_equal(decode_image(pixels, "a"), expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "palette", "key"])
@pytest.mark.parametrize("alpha", ["white", "drop"])
def test_transparency(mode, alpha):
    image = Image.fromarray(PIXELS)
    if mode == "palette":
        image = Image.fromarray(PIXELS[..., :3]).quantize(4)
        source = saved(image, transparency=2)
    elif mode == "key":
        source = saved(Image.fromarray(PIXELS[..., :3]), transparency=tuple(map(int, PIXELS[0, 0, :3])))
    else:
        source = saved(image.convert(mode))
    opened = Image.open(io.BytesIO(source))
    white = Image.new("RGBA", opened.size, (255, 255, 255, 255))
    over = Image.alpha_composite(white, opened.convert("RGBA"))
    expected = np.asarray((over if alpha == "white" else opened).convert("RGB"))
    np.testing.assert_array_equal(decode_image(source, "a", alpha), expected)
    assert (expected != decode_image(source, "a", "white" if alpha == "drop" else "drop")).any()


@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_orientations(orientation, kind):
    exif = Image.Exif()
    exif[274] = orientation
    more = {"lossless": True} if kind == "WEBP" else {}
    source = saved(Image.fromarray(PIXELS[..., :3]), kind, exif=exif, **more)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(source))))
    np.testing.assert_array_equal(decode_image(source, "a"), expected)
    np.testing.assert_array_equal(decode_image(Image.open(io.BytesIO(source)), "a"), expected)


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0MM\0*\xff\xff\xff\xff", b""])
def test_what_is_no_exif_says_no_orientation(exif):
    image = Image.fromarray(PIXELS[..., :3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = saved(image, exif=exif)
        np.testing.assert_array_equal(decode_image(source, "a"), np.asarray(image))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_read_by_their_high_bytes(kind):
    grey = np.array([[0, 255, 256, 65535]], np.uint16)
    expected = np.repeat((grey >> 8)[..., np.newaxis], 3, axis=2)
    if kind == "PNG":
        source = png(4, 1, b"\0" + grey.astype(">u2").tobytes(), 16, 0)
        color = png(1, 1, b"\0" + bytes([1, 200, 2, 0, 255, 255]), 16, 2)
        assert decode_image(color, "a").tolist() == [[[1, 2, 255]]]
    else:
        source = saved(Image.fromarray(grey), kind)
    np.testing.assert_array_equal(decode_image(source, "a"), expected)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bit_pixels_have_no_known_range(dtype):
    assert "32-bit numbers" in refusal(saved(Image.fromarray(np.ones((2, 2), dtype)), "TIFF"))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4), (1, 1), (3, 3, 3)])
def test_arrays(shape):
    array = PIXELS.reshape(-1)[: int(np.prod(shape))].reshape(shape)
    pixels = decode_image(array, "a", "drop")
    assert pixels.shape == (*shape[:2], 3)
    expected = array if len(shape) == 3 and shape[2] > 1 else array.reshape(*shape[:2], 1)
    np.testing.assert_array_equal(pixels, np.broadcast_to(expected[..., :3], pixels.shape))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2, 3), np.float32),
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((1, 2, 2, 3), np.uint8),
        np.zeros((0, 2, 3), np.uint8),
        np.zeros((3,), np.uint8),
        np.zeros((2, 2), object),
        np.zeros((3, 5, 7), np.uint8),
        np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (20_000, 20_000), (0, 0)),
    ],
)
def test_other_arrays_are_refused(array):
    assert "expected" in refusal(array)


@pytest.mark.parametrize("source", [None, 3, ["a.png"], object()])
def test_other_things_are_refused(source):
    assert type(source).__name__ in refusal(source)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused(kind, share):
    pixels = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    whole = saved(Image.fromarray(pixels), kind)
    assert "damaged" in refusal(whole[: int(len(whole) * share)])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
@given(st.data())
def test_a_damaged_file_is_a_picture_or_a_sentence(kind, data):
    content = bytearray(saved(Image.fromarray(PIXELS[..., :3]), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    assert outcome(bytes(content)).startswith(("uint8", "cat.png: "))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(content):
    with pytest.raises(InputError, match="a: "):
        decode_image(content, "a")


def test_what_starts_other_programs_is_not_read():
    assert "no picture" in refusal(saved(Image.fromarray(PIXELS[..., :3]), "EPS"))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_an_animation_is_refused_and_its_frame_taken(kind):
    frames = [Image.fromarray(np.full((4, 4, 3), value, np.uint8)) for value in (0, 255)]
    source = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    assert "several pictures" in refusal(source)
    opened = Image.open(io.BytesIO(source))
    opened.seek(1)
    assert (decode_image(opened, "a") == 255).all()


def test_a_phone_s_photograph_is_read_beside_its_preview():
    photograph = Image.fromarray(np.full((8, 8, 3), 200, np.uint8))
    source = saved(photograph, "MPO", save_all=True, append_images=[Image.new("RGB", (2, 2))])
    assert Image.open(io.BytesIO(source)).format == "MPO"
    assert decode_image(source, "a").shape == (8, 8, 3)


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (MAX_PIXELS + 1, 1), (1 << 30, 1 << 30)])
def test_too_many_pixels_are_refused_by_the_header(width, height, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    assert str(MAX_PIXELS) in refusal(png(width, height))


def test_an_empty_picture_is_refused():
    assert "pixels" in refusal(Image.new("RGB", (0, 3)))


def test_paths(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(saved(Image.fromarray(PIXELS[..., :3])))
    for source in (path, str(path)):
        np.testing.assert_array_equal(decode_image(source, "a"), PIXELS[..., :3])
    assert "No such file" in refusal(tmp_path / "dog.png")
    assert "null" in refusal("\0")
    assert "too long" in refusal("data:image/png;base64," + "A" * 5000)
    assert "directory" in refusal(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert "device" in refusal(tmp_path / "pipe")  # and isn't waited for


def test_warnings_stay_inside_whatever_threads_do(monkeypatch):
    """Two calls overlap and end in the order they began: filters are as before only once both have ended."""
    before = list(warnings.filters)
    first, second = (threading.Event() for _ in range(2))
    monkeypatch.setattr(image_decode, "_of_pillow", lambda image, *_: image())

    def one():
        first.set()
        second.wait(60)
        return PIXELS[..., :3]

    def two():
        warnings.warn("seen", UserWarning, stacklevel=1)
        return PIXELS[..., :3]

    monkeypatch.setattr(image_decode, "_is_pillow_image", callable)
    thread = threading.Thread(target=decode_image, args=(one, "a"))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        thread.start()
        first.wait(60)
        decode_image(two, "b")
        second.set()
        thread.join()
        assert seen == []
        warnings.warn("after", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in seen] == ["after"]
    assert warnings.filters == before


def test_without_pillow_arrays_work_and_a_path_says_what_to_install(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(png(1, 1, b"\0\1\2\3"))
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "import numpy as np\n"
        "from edgeformer_runtime.errors import InputError\n"
        "from edgeformer_runtime.preprocess.image_decode import decode_image\n"
        "print(decode_image(np.zeros((2, 3), np.uint8), 'a').shape)\n"
        "try: decode_image(sys.argv[1], sys.argv[1])\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"(2, 3, 3)\n{path}: ")
    assert "pip install 'edgeformer-runtime[image]'" in done.stdout


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_grey_is_pillows(color):
    pixels = np.array([[color]], np.uint8)
    assert to_grey(pixels)[0, 0, 0] == Image.fromarray(pixels).convert("L").getpixel((0, 0))
