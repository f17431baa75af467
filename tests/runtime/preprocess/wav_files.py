"""WAV files as bytes, right and wrong ones."""

from __future__ import annotations

import struct

import numpy as np

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
TYPES = {(PCM, 8): "u1", (PCM, 16): "<i2", (PCM, 32): "<i4", (FLOAT, 32): "<f4", (FLOAT, 64): "<f8"}


def header(tag=PCM, channels=1, rate=16000, bits=16, block=None, extensible=False):
    block = channels * bits // 8 if block is None else block
    chunk = struct.pack("<HHIIHH", EXTENSIBLE if extensible else tag, channels, rate, rate * block, block, bits)
    return chunk + struct.pack("<HHIH", 22, bits, 0, tag) + GUID_TAIL if extensible else chunk


def chunk(kind, content, size=None):
    said = len(content) if size is None else size
    return kind + struct.pack("<I", said) + content + b"\0" * (len(content) % 2)


def riff(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def samples_bytes(values, tag=PCM, bits=16):
    """[frames, channels] or [frames] of the file's own numbers."""
    if (tag, bits) == (PCM, 24):
        return np.asarray(values, dtype="<i4").reshape(-1, 1).view("u1")[:, :3].tobytes()
    return np.asarray(values, dtype=TYPES[(tag, bits)]).tobytes()


def wav(values, rate=16000, tag=PCM, bits=16, extensible=False, before=(), **header_values):
    values = np.asarray(values)
    channels = values.shape[1] if values.ndim == 2 else 1
    head = header(tag, channels, rate, bits, extensible=extensible, **header_values)
    return riff(chunk(b"fmt ", head), *before, chunk(b"data", samples_bytes(values, tag, bits)))
