"""text-classification: a text or a pair of texts to one label, several labels, or a number: ``classification.py``."""

from __future__ import annotations

from .classification import classification as text_classification

__all__ = ["text_classification"]
