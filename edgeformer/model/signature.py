"""Signature: what goes into a model and comes out, apart from any module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edgeformer_runtime.bundle.manifest import TaskSpec, TensorSpec
from edgeformer_runtime.preprocess.audio import AudioPreprocess
from edgeformer_runtime.preprocess.image_preprocess import ImagePreprocess


@dataclass(frozen=True)
class TextInput:
    """How a model directory turns texts into token ids."""

    tokenizer: str  # text of tokenizer.json
    pairs: bool = False  # the tokenizer makes two texts one row, and the inputs have all that it tells of them
    truncation: str = "right"  # the side of a text that is cut off
    max_length: int | None = None  # tokens that the directory's own settings cut a text to
    prompts: Mapping[str, str] = field(default_factory=dict)  # name -> what is put before a text
    default_prompt: str | None = None
    pad_to_max: bool = False  # every text is filled up to max_length: the result is taken at a fixed place


Preprocess = TextInput | ImagePreprocess | AudioPreprocess


@dataclass(frozen=True)
class Signature:
    """A model as one function of a row: rows are encoded, made up, run and judged by this alone.

    ``preprocess``: what is done to each kind of thing that a row holds; () where only arrays go in. ``vocabulary``:
    token ids that made-up rows may hold; ``end_token_id``: the one that they must end in, if any.
    """

    task: TaskSpec
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocess: tuple[Preprocess, ...] = ()
    vocabulary: int = 1000
    end_token_id: int | None = None

    def input(self, role: str) -> TensorSpec | None:
        """The input that is fed with ``role`` (``edgeformer_runtime.bundle.manifest.ROLES``), if there is one."""
        return next((spec for spec in self.inputs if spec.role == role), None)

    @property
    def text(self) -> TextInput | None:
        """How texts become tokens; None for a model that reads none, or has no tokenizer."""
        return next((item for item in self.preprocess if isinstance(item, TextInput)), None)

    @property
    def image(self) -> ImagePreprocess | None:
        """How pictures become pixels; None for a model that reads none."""
        return next((item for item in self.preprocess if isinstance(item, ImagePreprocess)), None)

    @property
    def pad_token_id(self) -> int:
        """The token that fills up a row of tokens; 0 where there are none."""
        tokens = self.input("tokens")
        return 0 if tokens is None else int(tokens.pad_value)

    @property
    def padded(self) -> bool:
        """Whether rows of several lengths may share a batch, because a mask says what of it is padding."""
        return self.input("mask") is not None

    def row_length(self, feeds: Mapping[str, Any]) -> int:
        """Positions of one row, or of a batch of equally long ones; 1 where rows have no mask to count by."""
        mask = self.input("mask")
        return 1 if mask is None else int(feeds[mask.name].shape[1])

    def with_text(self, text: TextInput) -> Signature:
        """The same signature whose texts become tokens otherwise."""
        made = tuple(text if isinstance(item, TextInput) else item for item in self.preprocess)
        return replace(self, preprocess=made)

    def with_pad(self, pad_token_id: int) -> Signature:
        """The same signature whose rows of tokens are filled up with another token."""
        inputs = (replace(spec, pad_value=pad_token_id) if spec.role == "tokens" else spec for spec in self.inputs)
        return replace(self, inputs=tuple(inputs))
