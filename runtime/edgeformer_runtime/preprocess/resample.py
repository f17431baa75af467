"""A sound at another rate: one windowed sinc, written so that every reader gets the same samples.

With up/down = target/rate in lowest terms, half = 10 max(up, down) and n samples x, output m is

    y[m] = sum over k of h[m down - k up + half] x[k]        0 <= m < ceil(n up / down)

    h[i] = up g[i] / sum(g),   g[i] = w[i] sinc((i - half) / max(up, down)),   0 <= i <= 2 half, else 0
    w[i] = I0(5 sqrt(1 - ((i - half) / half)^2)) / I0(5)     Kaiser's window, I0: modified Bessel function, order 0

where sinc(t) = sin(pi t) / (pi t), and x is 0 outside of the sound. These are the filter and the alignment that
``scipy.signal.resample_poly(x, up, down)`` has by default.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import Optional

import numpy as np

ZERO_CROSSINGS = 10  # of the sinc on each side, of the slower of the two rates
KAISER_BETA = 5.0
_BLOCK = 1 << 21  # products at a time: 16 MB of float64


def resample(samples: np.ndarray, rate: int, target: int, limit: Optional[int] = None) -> np.ndarray:
    """float [samples] at ``rate`` Hz to float64 at ``target`` Hz: ceil(samples target / rate) of them.

    ``limit``: at most so many, the first ones; they are the same as without a limit.
    """
    common = gcd(rate, target)
    up, down = target // common, rate // common
    count = -(-len(samples) * up // down)
    count = count if limit is None else min(count, limit)
    if up == down:
        return np.asarray(samples[:count], dtype=np.float64)
    phases = _phases(up, down)
    taps = phases.shape[1]
    padded = np.concatenate([np.zeros(taps - 1), samples, np.zeros(taps)])
    result = np.empty(count)
    step = max(1, _BLOCK // taps)
    for start in range(0, count, step):
        # where output m lies in the sequence that has up - 1 zeros behind each sample, half a filter later
        place = np.arange(start, min(start + step, count), dtype=np.int64) * down + ZERO_CROSSINGS * max(up, down)
        last = place // up  # the last sample that the filter covers; tap j lies on the sample j before it
        windows = padded[last[:, None] + np.arange(taps - 1, -1, -1)]
        result[start : start + step] = np.einsum("ij,ij->i", windows, phases[place % up])
    return result


@lru_cache(maxsize=4)
def _phases(up: int, down: int) -> np.ndarray:
    """float64 [up, taps]: row p holds h[p], h[p + up], h[p + 2 up], …"""
    slower = max(up, down)
    half = ZERO_CROSSINGS * slower
    offsets = np.arange(-half, half + 1)
    filter_ = np.sinc(offsets / slower) * np.kaiser(2 * half + 1, KAISER_BETA)
    filter_ *= up / filter_.sum()
    taps = -(-len(filter_) // up)
    whole = np.zeros(taps * up)
    whole[: len(filter_)] = filter_
    return np.ascontiguousarray(whole.reshape(taps, up).T)
