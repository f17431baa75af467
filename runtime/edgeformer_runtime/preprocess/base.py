"""What preprocessing gives, whatever it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Protocol

import numpy as np


class Input(Protocol):
    """What an encoder has to know of a model's input; ``TensorSpec`` is one."""

    @property
    def name(self) -> str:
        """Of the tensor."""

    @property
    def role(self) -> Optional[str]:
        """What feeds it: "tokens", "mask", "token_types", …"""


@dataclass(frozen=True)
class Encoded:
    """One row, ready to run. ``feeds``: {input name: array [1, …]}.

    ``tokens``: of a text, special ones included; None for what isn't text. ``truncated``: a part of the row was left
    out; ``tokens_cut`` counts those of a text, None where that isn't known: in a pair of which both texts may be cut.
    """

    feeds: Dict[str, np.ndarray]
    tokens: Optional[int] = None
    truncated: bool = False
    tokens_cut: Optional[int] = None
