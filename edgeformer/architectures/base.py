"""Architecture: which role each layer of a family plays, by its path in the model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["embedding", "attention", "feed_forward", "pooler", "head", "other"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Architecture:
    """A family's layers, as regular expressions on module paths; the first that matches gives the role."""

    name: str
    model_types: tuple[str, ...]
    roles: Sequence[tuple[str, Role]]

    def role(self, path: str) -> Role:
        """The role of the layer at ``path`` ("bert.encoder.layer.0.attention.self.query")."""
        return next((role for pattern, role in self.roles if re.search(pattern, path)), "other")
