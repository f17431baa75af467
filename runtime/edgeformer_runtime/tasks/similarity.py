"""How two embeddings are compared, as the bundle's manifest names it (``task.similarity``)."""

from __future__ import annotations

from typing import Optional

import numpy as np

from ..bundle.manifest import SIMILARITIES
from ..errors import InputError


def similarity(first: np.ndarray, second: np.ndarray, name: Optional[str] = None) -> float:
    """Similarity of two vectors [dimensions], larger is nearer; ``name`` is one of SIMILARITIES, None is cosine.

    Euclidean and Manhattan are negated distances, as in sentence-transformers. -infinity where a vector isn't finite.
    Raises InputError for another name.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return -np.inf
    if name is None or name == "cosine":
        return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))
    if name == "dot":
        return float(a @ b)
    if name == "euclidean":
        return -float(np.linalg.norm(a - b))
    if name == "manhattan":
        return -float(np.abs(a - b).sum())
    raise InputError(f"similarity {name!r}: expected one of {', '.join(SIMILARITIES)}")
