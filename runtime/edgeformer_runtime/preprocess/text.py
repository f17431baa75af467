"""Text to input tensors, by the tokenizer.json of the bundle."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from ..errors import EngineError, InputError, RuntimeBundleError
from ..files.json_fields import (
    Fields,
    at_most,
    below,
    boolean,
    list_of,
    name,
    not_negative,
    object_of,
    one_of,
    optional,
    path,
    refuse,
    string,
    wrong,
)
from ..foreign import is_foreign
from .base import Encoded, Input

KIND = "text"
MAX_LENGTH = 1 << 20  # tokens
SIDES = ("right", "left")
CUTS = ("longest", "second")

# What an Encoding of `tokenizers` can give, by the role of the input.
_SOURCES = {"tokens": "ids", "mask": "attention_mask", "token_types": "type_ids"}
# Where tokenizer.json may have a prefix that ``_splits_characters`` looks at; escapes can spell letters of its key.
_PREFIX = re.compile(rb'continuing_subword_prefix"\s*:\s*"[^"]|\\u00[2-7]')


@dataclass(frozen=True)
class TextPreprocess:
    """How text becomes input tensors."""

    tokenizer: str  # path of tokenizer.json inside the bundle
    max_length: int  # tokens, special ones included; longer text is truncated and said to be
    pad_token_id: int
    pair: bool = False  # the model takes pairs of texts
    truncation: str = "right"  # one of SIDES: where a long text is cut off
    prompts: Mapping[str, str] = field(default_factory=dict)  # name -> what is put before a text (a pair's first)
    default_prompt: Optional[str] = None  # the one that is put there where the caller names none
    single: bool = True  # the model takes texts that are no pair
    cut: str = "longest"  # one of CUTS: what of a pair is cut, token by token the longer text, or the second alone
    pad_to_max: bool = False  # each row is filled up to max_length: the model takes its result at a fixed place

    @property
    def kind(self) -> str:
        """See ``registry``."""
        return KIND

    @property
    def files(self) -> Tuple[str, ...]:
        """Paths of the bundle that it reads."""
        return (self.tokenizer,)

    def in_words(self) -> str:
        """What is done to a text, for a terminal."""
        taken = " or ".join(what for what, is_taken in (("texts", self.single), ("pairs", self.pair)) if is_taken)
        cut = "the second alone" if self.cut == "second" else "the longer one" if self.pair else "a longer one"
        side = "end" if self.truncation == "right" else "beginning"
        prompt = f"; prompt {self.default_prompt!r} unless asked" if self.default_prompt is not None else ""
        filled = ", filled up to that" if self.pad_to_max else ""
        return f"{taken} of up to {self.max_length} tokens{filled}, of which {cut} is cut at its {side}{prompt}"


def text_to_dict(preprocess: TextPreprocess) -> Dict[str, Any]:
    """JSON data of ``preprocess``, as FORMAT.md describes it."""
    values = asdict(preprocess)
    if not preprocess.pad_to_max:
        del values["pad_to_max"]
    taken = (("text", values.pop("single")), ("pair", values.pop("pair")))
    return {"kind": KIND, **values, "takes": [name for name, is_taken in taken if is_taken]}


def text_from_dict(value: Any, where: str) -> TextPreprocess:
    """The inverse of ``text_to_dict``; raises RuntimeBundleError naming the place and what was expected there."""
    fields = Fields(value, where)
    fields.take("kind", one_of((KIND,)))
    takes = fields.take("takes", list_of(one_of(("text", "pair"))), ("text",))
    preprocess = TextPreprocess(
        tokenizer=fields.take("tokenizer", path),
        max_length=fields.take("max_length", at_most(MAX_LENGTH)),
        pad_token_id=fields.take("pad_token_id", not_negative),
        truncation=fields.take("truncation", one_of(SIDES), "right"),
        prompts=fields.take("prompts", object_of(string), {}),
        default_prompt=fields.take("default_prompt", optional(name), None),
        cut=fields.take("cut", one_of(CUTS), "longest"),
        pad_to_max=fields.take("pad_to_max", boolean, False),
        single="text" in takes,
        pair="pair" in takes,
    )
    fields.finish()
    if not takes:
        wrong(below(where, "takes"), "text, pair or both", value["takes"])
    if preprocess.default_prompt is not None and preprocess.default_prompt not in preprocess.prompts:
        refuse(f"{where}.default_prompt {preprocess.default_prompt!r} is none of its prompts")
    return preprocess


@dataclass(frozen=True)
class EncodedText(Encoded):
    """A text or a pair, and what it takes to map results back to characters.

    Per token: ``offsets`` are character positions (start, end) in the text that the token came from, ``words`` numbers
    the words, ``texts`` says which text (0 or 1). Special tokens, and those wholly in the prompt, have (0, 0), None and
    None; one that reaches from the prompt into the text starts at 0. ``source``: the texts, without a prompt.
    """

    offsets: Tuple[Tuple[int, int], ...] = ()
    words: Tuple[Optional[int], ...] = ()
    texts: Tuple[Optional[int], ...] = ()
    source: Tuple[str, Optional[str]] = ("", None)


def of_text(encoded: Encoded) -> EncodedText:
    """``encoded``, known to be of a text; raises InputError for anything else."""
    if not isinstance(encoded, EncodedText):
        raise InputError("this task needs a text: its results are places in it")
    return encoded


class TextEncoder:
    """Tokenizes one row at a time, as ``preprocess`` says."""

    def __init__(self, tokenizer: Union[Path, bytes], preprocess: TextPreprocess, inputs: Sequence[Input]) -> None:
        self._preprocess = preprocess
        unknown = [f"{item.name} ({item.role or 'no role'})" for item in inputs if item.role not in _SOURCES]
        if unknown:
            raise RuntimeBundleError(
                f"inputs {', '.join(unknown)} can't be made from text: expected roles {', '.join(_SOURCES)}. "
                "Use Session.run with arrays"
            )
        self._sources = {item.name: _SOURCES[str(item.role)] for item in inputs}
        self._tokenizer = _load(tokenizer)
        self._tokenizer.no_padding()  # padding is the runner's: only it knows the lengths that a variant has
        self._tokenizer.enable_truncation(
            max_length=preprocess.max_length,
            strategy="only_second" if preprocess.cut == "second" else "longest_first",
            direction=preprocess.truncation,
        )

    def rows(self, texts: Sequence[object]) -> List[Tuple[str, Optional[str]]]:
        """(text, second text or None) of each of ``texts``; raises InputError naming the one that is something else."""
        return check_texts(texts, pairs=self._preprocess.pair, singles=self._preprocess.single)

    def encode(self, text: str, second: Optional[str] = None, prompt: Optional[str] = None) -> EncodedText:
        """Tokenize one text or pair, cut to ``max_length`` tokens; raises InputError when it can't be cut to
        fit. ``prompt`` names what is put before it, see ``prompt_text``.
        """
        source = (text, second)
        put_before = prompt_text(self._preprocess, prompt)
        text = put_before + text
        try:
            encoding = self._tokenizer.encode(text, second)
        except BaseException as error:  # `tokenizers` raises plain Exception, and panics
            if not is_foreign(error):
                raise
            check_well_formed(text)
            check_well_formed(second or "")
            raise InputError(
                f"text {text[:60]!r} can't be cut to {self._preprocess.max_length} tokens: {error}: shorten it"
            ) from error
        if not encoding.ids:
            raise InputError(f"text {text[:60]!r} gives no tokens: expected some text")
        most = self._preprocess.max_length
        if len(encoding.ids) > most:  # `tokenizers` cuts nothing where special tokens leave no room
            raise InputError(
                f"text {text[:60]!r} can't be cut to {most} tokens: the special ones alone are more. Compile the model "
                "for longer texts"
            )
        return EncodedText(
            feeds={name: self._array(kind, getattr(encoding, kind)) for name, kind in self._sources.items()},
            tokens=len(encoding.ids),
            truncated=len(encoding.overflowing) > 0,
            tokens_cut=self._cut(encoding, pair=second is not None),
            source=source,
            **_places(encoding, len(put_before)),
        )

    def _array(self, kind: str, values: Sequence[int]) -> np.ndarray:
        """int64 [1, tokens]."""
        missing = self._preprocess.max_length - len(values) if self._preprocess.pad_to_max else 0
        filled = [*values, *[self._preprocess.pad_token_id if kind == "ids" else 0] * missing]
        return np.asarray(filled, dtype=np.int64)[np.newaxis]

    def encode_row(self, row: Tuple[str, Optional[str]], prompt: Optional[str] = None) -> EncodedText:
        """``encode`` of what ``rows`` gives."""
        return self.encode(row[0], row[1], prompt)

    def _cut(self, encoding: Any, pair: bool) -> Optional[int]:
        """Tokens that were cut, special ones not counted: they come in further pieces, each a row of its own."""
        if pair and self._preprocess.cut != "second" and encoding.overflowing:
            return None  # pieces of either text come with all of the other's
        # In a pair each piece repeats the first text; without a post-processor the second is in no sequence of it.
        first = encoding.sequence_ids.count(0) if pair else 0
        return int(sum(len(piece.ids) - sum(piece.special_tokens_mask) - first for piece in encoding.overflowing))


def _places(encoding: Any, prompt: int) -> Dict[str, Any]:
    """``offsets``, ``words`` and ``texts`` of an EncodedText whose first text begins at character ``prompt``."""
    offsets: List[Tuple[int, int]] = []
    words: List[Optional[int]] = []
    texts: List[Optional[int]] = []
    for (start, end), word, text in zip(encoding.offsets, encoding.word_ids, encoding.sequence_ids):
        before = prompt if text == 0 else 0
        inside = start >= before or end > before
        offsets.append((max(start - before, 0), end - before) if inside else (0, 0))
        words.append(word if inside else None)
        texts.append(text if inside else None)
    return {"offsets": tuple(offsets), "words": tuple(words), "texts": tuple(texts)}


def text_encoder(preprocess: TextPreprocess, read_file: Callable[[str], bytes], inputs: Sequence[Input]) -> TextEncoder:
    """See ``registry``."""
    return TextEncoder(read_file(preprocess.tokenizer), preprocess, inputs)


def prompt_text(preprocess: TextPreprocess, name: Optional[str]) -> str:
    """What a prompt puts before a text; None is the bundle's default prompt, or nothing, and "" is nothing.

    Raises InputError for a name that the bundle doesn't have.
    """
    if name is None:
        name = preprocess.default_prompt
    if not name:
        return ""
    if name not in preprocess.prompts:
        known = ", ".join(preprocess.prompts) or "none"
        raise InputError(f"prompt {name!r}: the bundle has no prompt of this name, it has {known}")
    return preprocess.prompts[name]


def check_well_formed(text: str) -> None:
    """Raise InputError for a text with half of a surrogate pair, which a damaged or cut encoding leaves."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"text {text[:60]!r}: character {error.start} is half of a surrogate pair, no text: decode its source again"
        ) from error


def check_texts(rows: Sequence[object], pairs: bool, singles: bool = True) -> List[Tuple[str, Optional[str]]]:
    """(text, second text or None) of each row.

    ``pairs`` and ``singles`` say whether the model takes (text, text) and plain texts. Raises InputError
    naming the row that is something else.
    """
    if isinstance(rows, (str, bytes)):
        raise InputError("predict: expected a list of texts, got one text: put it in a list")
    wanted = " or ".join(text for text, allowed in (("a text", singles), ("a pair (text, text)", pairs)) if allowed)
    checked: List[Tuple[str, Optional[str]]] = []
    for index, row in enumerate(rows):
        if singles and isinstance(row, str):
            checked.append((row, None))
        elif pairs and isinstance(row, (tuple, list)) and [type(part) for part in row] == [str, str]:
            checked.append((row[0], row[1]))
        else:
            hint = "" if pairs else ". If it is meant for pairs: compile it with --pair"
            raise InputError(f"predict: row {index}: this model takes {wanted}, got {repr(row)[:80]}{hint}")
    return checked


def _load(tokenizer: Union[Path, bytes]) -> Any:
    """The tokenizer of a tokenizer.json, given by its path or by its content."""
    try:
        import tokenizers
    except ImportError as error:
        raise EngineError(f"tokenizers can't be imported ({error}): pip install tokenizers") from error
    try:
        content = tokenizer if isinstance(tokenizer, bytes) else tokenizer.read_bytes()
        if _splits_characters(content):
            raise ValueError("continuing_subword_prefix ends inside of a character of a merge")
        return tokenizers.Tokenizer.from_str(content.decode("utf-8"))
    except BaseException as error:  # `tokenizers` raises plain Exception, and panics
        if not is_foreign(error):
            raise
        name = "tokenizer.json" if isinstance(tokenizer, bytes) else tokenizer
        raise RuntimeBundleError(
            f"{name}: tokenizers {tokenizers.__version__} can't read it ({error}): "
            "pip install --upgrade tokenizers, or compile the bundle again"
        ) from error


def _splits_characters(content: bytes) -> bool:
    """Whether taking a tokenizer's prefix off the second token of a merge splits a character.

    `tokenizers` 0.23.3 doesn't refuse that: it ends the process.
    """
    if not _PREFIX.search(content):
        return False
    try:
        model = json.loads(content)["model"]
        at = len((model.get("continuing_subword_prefix") or "").encode("utf-8"))
        for merge in model["merges"]:
            second = (merge.split(" ") if isinstance(merge, str) else merge)[1].encode("utf-8")
            if 0x80 <= (second[at] if at < len(second) else 0) < 0xC0:  # a byte that begins no character
                return True
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass  # no such file: `tokenizers` says what is wrong
    return False
