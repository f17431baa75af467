"""tokenizer.json: the tokenizer that encodes, and the file with every id renumbered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from ..errors import ModelError
from .base import Vocabulary
from .bpe import Bpe
from .unigram import Unigram
from .wordpiece import WordPiece

VOCABULARIES: dict[str, type[Vocabulary]] = {"WordPiece": WordPiece, "BPE": Bpe, "Unigram": Unigram}


class TokenizerFile:
    """The text of a tokenizer.json.

    Raises:
        ModelError: not readable by ``tokenizers``, or with a model that can't be trimmed.
    """

    def __init__(self, text: str) -> None:
        from tokenizers import Tokenizer

        self.text = text
        try:
            self.document: dict[str, Any] = json.loads(text)
            self.tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # `tokenizers` raises plain Exception
            raise ModelError(f"tokenizer.json can't be read: {error}") from error
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.added = {str(entry["content"]) for entry in self.document.get("added_tokens") or ()}
        self.vocabulary = _vocabulary(self.document["model"], self.added)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Every piece and added token with the id that encoding gives it."""
        return {str(token): int(index) for token, index in self.tokenizer.get_vocab(with_added_tokens=True).items()}

    @property
    def unknown_id(self) -> int | None:
        """The id of the unknown token, None where the model has none."""
        section = self.document["model"]
        if section.get("unk_id") is not None:
            return int(section["unk_id"])
        return self.ids.get(str(section.get("unk_token")))

    def mentioned_ids(self) -> set[int]:
        """Ids outside of the vocabulary: of added tokens, and in the post-processor's and the padding's sections."""
        found = {self.ids[token] for token in self.added}
        padding = self.document.get("padding")
        found |= {int(padding["pad_id"])} if padding else set()
        for processor in _processors(self.document.get("post_processor")):
            found |= {int(processor[key][1]) for key in ("sep", "cls") if key in processor}
            for special in (processor.get("special_tokens") or {}).values():
                found |= {int(index) for index in special["ids"]}
        return found

    def encode(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Ids of each text, without special tokens, uncut; raises ModelError for a text that can't be encoded."""
        for start in range(0, len(texts), _CHUNK):
            try:
                encodings = self.tokenizer.encode_batch(list(texts[start : start + _CHUNK]), add_special_tokens=False)
            except Exception as error:  # `tokenizers` raises plain Exception
                raise ModelError(f"tokenizer.json: texts {start + 1} to {start + _CHUNK}: {error}") from error
            yield from ([int(index) for index in encoding.ids] for encoding in encodings)

    def trimmed(self, new_ids: Mapping[int, int]) -> TokenizerFile:
        """The file with the tokens of ``new_ids`` (old id → new id) only, and every mention of an id renumbered.

        Raises:
            ModelError: ``tokenizers`` would number the tokens otherwise (added tokens between the vocabulary's ids).
        """
        document = json.loads(self.text)
        pieces = {piece: new_ids[index] for piece, index in self.vocabulary.ids.items() if index in new_ids}
        document["model"] = self.vocabulary.rewritten(pieces)
        for entry in document.get("added_tokens") or ():
            entry["id"] = new_ids[self.ids[entry["content"]]]
        if document.get("padding"):
            document["padding"]["pad_id"] = new_ids[int(document["padding"]["pad_id"])]
        for processor in _processors(document.get("post_processor")):
            _renumber(processor, new_ids)
        trimmed = TokenizerFile(json.dumps(document, ensure_ascii=False, separators=(",", ":")))
        expected = {token: new_ids[index] for token, index in self.ids.items() if index in new_ids}
        if trimmed.ids != expected:
            wrong = sorted(token for token in expected if trimmed.ids.get(token) != expected[token])
            raise ModelError(
                f"tokenizer.json: {len(wrong)} tokens (the first is {wrong[:1]}) can't be renumbered: an added token's "
                "id lies between those of the vocabulary. Leave trim_vocabulary out"
            )
        return trimmed


_CHUNK = 1000


def _vocabulary(section: Mapping[str, Any], added: set[str]) -> Vocabulary:
    kind = str(section.get("type") or _kind_of_old_file(section))
    if kind == "WordLevel":
        raise ModelError(
            "tokenizer.json: a vocabulary of whole words has no smaller pieces, so a word that is dropped becomes "
            "unreadable. Leave trim_vocabulary out"
        )
    if kind not in VOCABULARIES:
        raise ModelError(f"tokenizer.json: model {kind!r}: expected one of {', '.join(VOCABULARIES)}")
    return VOCABULARIES[kind](section, added)


def _kind_of_old_file(section: Mapping[str, Any]) -> str:
    """Files of early releases don't name the model's type."""
    if "merges" in section:
        return "BPE"
    if isinstance(section.get("vocab"), list):
        return "Unigram"
    return "WordPiece" if "max_input_chars_per_word" in section else "WordLevel"


def _processors(section: Any) -> Iterator[dict[str, Any]]:
    """The post-processor, or those of a sequence."""
    if not section:
        return
    if section.get("type") == "Sequence":
        for inner in section["processors"]:
            yield from _processors(inner)
    else:
        yield section


def _renumber(processor: dict[str, Any], new_ids: Mapping[int, int]) -> None:
    for key in ("sep", "cls"):  # BertProcessing, RobertaProcessing
        if key in processor:
            token, index = processor[key]
            processor[key] = [token, new_ids[int(index)]]
    special_tokens = processor.get("special_tokens") or {}  # TemplateProcessing
    for special in special_tokens.values():
        special["ids"] = [new_ids[int(index)] for index in special["ids"]]
