"""tensors: a module of the user's own; arrays in, arrays out."""

from __future__ import annotations

from typing import ClassVar, NoReturn, Optional, Tuple

import numpy as np

from ..errors import InputError
from ..preprocess.base import Encoded
from .base import Task


class Tensors(Task):
    """Nothing is known of what its outputs mean."""

    reads: ClassVar[Optional[str]] = None

    def _predict(self, arrays: Tuple[np.ndarray, ...], encoded: Encoded) -> NoReturn:
        raise InputError("task tensors has no predictions: use Session.run with arrays")
