from __future__ import annotations

import io
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer_runtime.errors import InputError
from edgeformer_runtime.preprocess.audio_decode import decode_wav, read_wav

sys.path.insert(0, str(Path(__file__).parent))
from wav_files import FLOAT, PCM, chunk, header, riff, samples_bytes, wav

ENCODINGS = [(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64)]
encodings = st.sampled_from(ENCODINGS)


def values_of(seed, tag, bits, shape):
    """(the file's own numbers, the samples that they mean)."""
    rng = np.random.default_rng(seed)
    if tag == FLOAT:
        floats = rng.uniform(-1, 1, shape)
        return floats, (floats.astype(np.float32) if bits == 32 else floats).astype(np.float64)
    ends = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]
    integers = np.where(rng.random(shape) < 0.2, rng.choice(ends, shape), rng.integers(*ends, shape))
    return integers + (128 if bits == 8 else 0), integers / 2.0 ** (bits - 1)


@settings(max_examples=100, deadline=None)
@given(
    encodings, st.integers(1, 40), st.integers(1, 4), st.integers(1000, 192000), st.booleans(), st.integers(0, 2**31)
)
def test_each_encoding(encoding, frames, channels, rate, extensible, seed):
    written, meant = values_of(seed, *encoding, (frames, channels))
    sound = decode_wav(wav(written, rate, *encoding, extensible=extensible), "a.wav")
    assert (sound.name, sound.rate_hz, sound.samples.dtype) == ("a.wav", rate, np.float32)
    np.testing.assert_allclose(sound.samples, meant.mean(axis=1).astype(np.float32), atol=1e-12)
    assert sound.notes == ((f"a.wav: {channels} channels were averaged into one",) if channels > 1 else ())


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([8, 16, 24, 32]), st.integers(1, 50), st.integers(1, 3), st.integers(0, 2**31))
def test_what_the_standard_library_writes(bits, frames, channels, seed):
    written, meant = values_of(seed, PCM, bits, (frames, channels))
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(bits // 8)
        file.setframerate(22050)
        file.writeframes(samples_bytes(written, PCM, bits))
    sound = decode_wav(target.getvalue(), "a")
    np.testing.assert_allclose(sound.samples, meant.mean(axis=1), atol=1e-7)


def test_other_chunks_are_passed_over(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav([16384, -16384], before=[chunk(b"LIST", b"odd"), chunk(b"fact", b"1234")]) + b"behind it")
    assert read_wav(path).samples.tolist() == [0.5, -0.5]


def test_a_stream_of_unknown_size_reaches_to_the_end():
    content = riff(chunk(b"fmt ", header()), chunk(b"data", b"\0\x40" * 5, size=0xFFFFFFFF))
    assert decode_wav(content, "a").samples.tolist() == [0.5] * 5


@settings(max_examples=60, deadline=None)
@given(encodings, st.booleans(), st.data())
def test_a_cut_file_is_never_read_as_a_shorter_sound(encoding, extensible, data):
    whole = wav(values_of(1, *encoding, (9, 2))[0], 16000, *encoding, extensible=extensible)
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(InputError, match=r"^a\.wav: "):
        decode_wav(whole[:end], "a.wav")


@settings(max_examples=400, deadline=None)
@given(encodings, st.booleans(), st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=6))
def test_altered_bytes_are_refused_or_finite(encoding, extensible, changes):
    content = bytearray(wav(values_of(2, *encoding, (9, 2))[0], 16000, *encoding, extensible=extensible))
    for place, byte in changes:
        content[place % len(content)] = byte
    try:
        sound = decode_wav(bytes(content), "a.wav")
    except InputError:
        return
    assert np.isfinite(sound.samples).all()
    assert len(sound.samples) > 0


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100), st.booleans())
def test_any_bytes(content, dressed):
    with pytest.raises(InputError):
        decode_wav(riff(content) if dressed else content, "a.wav")


REFUSED = [
    (b"", "no bytes"),
    (b"fLaC" + bytes(50), "which is FLAC: convert it"),
    (b"OggS" + bytes(50), "which is Ogg"),
    (b"RIFF\0\0\0\0AVI " + bytes(50), "expected a WAV file"),
    (riff(), "no header"),
    (riff(chunk(b"fmt ", header())), "no samples"),
    (riff(chunk(b"data", b"1234"), chunk(b"fmt ", header())), "samples come before its header"),
    (riff(chunk(b"fmt ", header()[:14])), "header has 14 bytes"),
    (riff(chunk(b"fmt ", header(extensible=True)[:20])), "extensible header has 20 bytes"),
    (riff(chunk(b"fmt ", header(extensible=True)[:-1] + b"x")), "encoding 0xfffe"),
    (riff(chunk(b"fmt ", header(tag=7, bits=8))), "encoding 0x0007 of 8 bits.*ffmpeg"),
    (riff(chunk(b"fmt ", header(bits=12, block=2))), "of 12 bits"),
    (riff(chunk(b"fmt ", header(channels=0))), "0 channels"),
    (riff(chunk(b"fmt ", header(channels=65))), "65 channels: expected 1 to 64"),
    (riff(chunk(b"fmt ", header(block=3))), "3 bytes for 1 channels of 16 bits"),
    (wav([1], rate=999), "999 Hz: expected 1000 to 192000"),
    (wav([1], rate=192001), "192001 Hz"),
    (wav([]), "is empty"),
    (riff(chunk(b"fmt ", header(channels=2)), chunk(b"data", b"123456")), "end within a sample"),
    (riff(*[chunk(b"junk", b"")] * 1001), "more than 1000 chunks"),
    (wav([0, np.nan, np.inf, 0], tag=FLOAT, bits=32), "2 of 4 samples are NaN or infinite, the first is number 1"),
    (wav([[np.inf, -np.inf]], tag=FLOAT, bits=32), "1 of 1 samples are NaN"),
    (wav([0, 1e300], tag=FLOAT, bits=64), "samples reach 1e[+]300: expected about ±1"),
]


@pytest.mark.parametrize(("content", "message"), REFUSED)
def test_refused(content, message, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.wav: .*{message}"):
        read_wav(path)


def test_limits_are_stated(tmp_path, monkeypatch):
    huge = tmp_path / "huge.wav"
    with huge.open("wb") as file:
        file.truncate(1 << 40)  # holes take no space
    with pytest.raises(InputError, match=r"huge\.wav: has 1099511627776 bytes: expected at most"):
        read_wav(huge)
    monkeypatch.setattr("edgeformer_runtime.preprocess.audio_decode.MAX_SAMPLES", 9)
    with pytest.raises(InputError, match="has 10 samples in all channels: expected at most 9"):
        decode_wav(wav(np.zeros((5, 2))), "a.wav")


def test_paths_that_are_no_files(tmp_path):
    for path, message in ((tmp_path, "a directory"), (tmp_path / "none.wav", "nothing there")):
        with pytest.raises(InputError, match=f"{path}: expected a WAV file, got {message}"):
            read_wav(path)
    with pytest.raises(InputError):
        read_wav(Path("a\0b.wav"))
    with pytest.raises(InputError):
        read_wav(Path("a" * 5000))
