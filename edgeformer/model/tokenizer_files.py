"""The tokenizer of a model directory, as transformers itself loads it, in the one file that a device reads.

What tokenizer_config.json says beside tokenizer.json (lower case, accents, prefix space, special tokens) transformers
builds into the tokenizer when it loads it; what it keeps outside (side of truncation, longest text, whether token types
are fed) is returned beside the file.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers

from edgeformer_runtime.foreign import is_foreign

from ..errors import EdgeformerError, ModelError
from .files import read_json
from .tokenizer_causes import TEXTLESS, check_class, check_sentencepiece, first_line, not_loaded

# What transformers reads vocabularies from, by any family's tokenizer.
VOCABULARY_FILES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "vocab.bpe", "bpe.codes", "spiece.model", "spm.model",
    "sentencepiece.bpe.model", "sentencepiece.model", "tokenizer.model", "tiktoken.model", "tokenizer_model.model",
)  # fmt: skip
# transformers writes 1e30 where no length is known; nothing that encodes text reads a million tokens
_NO_LENGTH = 1_000_000
_SETTINGS_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_PARTS = ("normalizer", "pre_tokenizer", "model", "post_processor")


@dataclass(frozen=True)
class LoadedTokenizer:
    """A tokenizer as one tokenizer.json, and what transformers does with it beyond that file.

    ``max_length``: tokens that a text is cut to where the caller names no length, None where the directory has none.
    ``pairs``: a row of two texts can be made. ``single_types``: one text gets token types other than 0, and
    transformers feeds them. ``pair_types``: the second text gets others than the first, and tokenizer_config.json
    doesn't say that they are left out; ``types_by_default``: transformers feeds them without being asked.
    ``pad_token_id``: what fills up rows of a batch; None where the directory doesn't say.
    """

    json: str
    truncation: str = "right"  # the side that is cut off
    max_length: int | None = None
    pairs: bool = True
    single_types: bool = False
    pair_types: bool = False
    types_by_default: bool = True
    pad_token_id: int | None = None
    notes: tuple[str, ...] = ()


def load_tokenizer(directory: Path, config: Any) -> LoadedTokenizer | None:
    """The directory's tokenizer; None where it has no file of a vocabulary.

    ``config``: the model's, which says the family where the directory doesn't (an adapter's).

    Raises:
        ModelError: a damaged file, a tokenizer that has no fast form, or a package that is missing, by name.
    """
    found = [name for name in VOCABULARY_FILES if (directory / name).is_file()]
    for name in ("tokenizer.json", *_SETTINGS_FILES):
        if (directory / name).is_file():
            read_json(directory / name)
    if not found:
        return None
    with _understood(directory, found):
        if "tokenizer.json" in found and not _config(directory):
            return _of_the_file(directory, config)
        return _of_transformers(directory, config, found)


@contextlib.contextmanager
def _understood(directory: Path, found: list[str]) -> Iterator[None]:
    """Turns what libraries raise over damaged files (TypeError, a panic of Rust code, …) into one sentence."""
    try:
        yield
    except EdgeformerError:
        raise
    except BaseException as error:
        if not is_foreign(error):
            raise
        settings = [name for name in _SETTINGS_FILES if (directory / name).is_file()]
        raise ModelError(
            f"model {directory}: its tokenizer ({', '.join((*found, *settings))}) is damaged, or its files don't "
            f"belong together: {first_line(error)}. {TEXTLESS}"
        ) from error


def own_vocabulary(directory: Path, config: Any) -> dict[str, int] | None:
    """Ids by token, without what transformers adds to the directory's own file; None without a tokenizer."""
    path = directory / "tokenizer.json"
    if path.is_file():
        read_json(path)
        return dict(_parsed(path).get_vocab(with_added_tokens=True))
    loaded = load_tokenizer(directory, config)
    return None if loaded is None else dict(tokenizers.Tokenizer.from_str(loaded.json).get_vocab(True))


def _of_the_file(directory: Path, config: Any) -> LoadedTokenizer:
    """tokenizer.json as it is: nothing beside it says otherwise."""
    backend = _parsed(directory / "tokenizer.json")
    side = str((backend.truncation or {}).get("direction", "right"))
    notes = []
    with contextlib.suppress(ModelError):  # transformers needn't be able to read what isn't its own
        changed = _differing_parts(backend, _from_transformers(directory, config, ["tokenizer.json"]).backend_tokenizer)
        if changed:
            notes.append(
                "tokenizer: tokenizer.json as it is; without a tokenizer_config.json transformers takes its family's "
                f"{', '.join(changed)} instead"
            )
    pad = (backend.padding or {}).get("pad_id")
    return LoadedTokenizer(backend.to_str(), side, **_row_facts(backend), pad_token_id=pad, notes=tuple(notes))


def _of_transformers(directory: Path, config: Any, found: list[str]) -> LoadedTokenizer:
    """The tokenizer that transformers makes of tokenizer_config.json and the other files."""
    fast = _from_transformers(directory, config, found)
    backend = fast.backend_tokenizer
    notes = []
    if fast.split_special_tokens:
        raise ModelError(
            f"model {directory}: split_special_tokens in tokenizer_config.json is a setting of the calling code, which "
            "no device has: take it out, and the tokenizer recognizes its special tokens in texts"
        )
    if fast.padding_side == "left":
        notes.append("padding_side is left; rows run one at a time, so that no padding reaches a result")
    if "tokenizer.json" in found:
        changed = _differing_parts(_parsed(directory / "tokenizer.json"), backend)
        if changed:
            notes.append(f"tokenizer: as transformers loads it; tokenizer.json alone has another {', '.join(changed)}")
    facts = _row_facts(backend)
    by_default = "token_type_ids" in fast.model_input_names
    limit = int(fast.model_max_length)
    return LoadedTokenizer(
        json=str(backend.to_str()),
        truncation=str(fast.truncation_side),
        max_length=limit if 0 < limit < _NO_LENGTH else None,
        pairs=facts["pairs"],
        single_types=facts["single_types"] and by_default,
        pair_types=facts["pair_types"] and (by_default or "model_input_names" not in _config(directory)),
        types_by_default=by_default,
        pad_token_id=fast.pad_token_id,
        notes=tuple(notes),
    )


def _row_facts(backend: tokenizers.Tokenizer) -> dict[str, bool]:
    """What the tokenizer makes of one text and of two."""
    backend = tokenizers.Tokenizer.from_str(backend.to_str())
    backend.no_padding()
    backend.no_truncation()
    pair = backend.encode("a", "a")
    return {
        "pairs": {0, 1} <= set(pair.sequence_ids),
        "single_types": any(backend.encode("a").type_ids),
        "pair_types": any(pair.type_ids),
    }


def _parsed(path: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except BaseException as error:  # `tokenizers` raises plain Exception, and panics
        if not is_foreign(error):
            raise
        raise ModelError(
            f"{path}: tokenizers {tokenizers.__version__} can't read it: {error}. Save it again with the versions that "
            "are in use here (AutoTokenizer.from_pretrained, then save_pretrained)"
        ) from error


def check_ids(tokenizer: str, rows: int, directory: Path) -> str:
    """The tokenizer without tokens that no file of the directory names and the embedding has no row for.

    transformers adds the special tokens that a family usually has. Raises ModelError where the directory's own tokens
    lie beyond the ``rows`` of the embedding.
    """
    vocabulary = tokenizers.Tokenizer.from_str(tokenizer).get_vocab(with_added_tokens=True)
    beyond = {token: index for token, index in vocabulary.items() if index >= rows}
    if not beyond:
        return tokenizer
    named = _named_tokens(directory)
    own = sorted((index, token) for token, index in beyond.items() if token in named)
    content = json.loads(tokenizer)
    added = {entry["content"] for entry in content["added_tokens"]}
    if own or not beyond.keys() <= added:
        index, token = own[0] if own else min((index, token) for token, index in beyond.items())
        more = f", and {len(beyond) - 1} more" if len(beyond) > 1 else ""
        raise ModelError(
            f"model {directory}: the tokenizer gives token {token!r} the id {index}{more}; it has {len(vocabulary)} "
            f"tokens, the model's embedding {rows} rows. Tokens were added without model.resize_token_embeddings(len("
            "tokenizer)): resize it and train the new rows, or save the model with the tokenizer it was trained with"
        )
    content["added_tokens"] = [entry for entry in content["added_tokens"] if entry["content"] not in beyond]
    return json.dumps(content, ensure_ascii=False)


def _from_transformers(directory: Path, config: Any, found: list[str]) -> Any:
    """The fast tokenizer that AutoTokenizer gives; raises ModelError with the true cause."""
    from transformers import AutoTokenizer

    settings = _config(directory)
    name = settings.get("tokenizer_class")
    what = f"model {directory}: its tokenizer{f' ({name})' if name else ''} in {', '.join(found)}"
    check_class(what, settings, has_file="tokenizer.json" in found)
    if "tokenizer.json" not in found and any(file.endswith(".model") for file in found):
        check_sentencepiece(what)
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                directory, config=config, local_files_only=True, trust_remote_code=False
            )
            tokenizer.backend_tokenizer.to_str()  # segmentation by Python code can't be written
    except BaseException as error:  # whatever a family's own code raises: a missing package, a file that it can't read
        if not is_foreign(error):
            raise
        raise not_loaded(what, error, settings, directory) from error
    special = {str(token) for token in tokenizer.all_special_tokens}
    if not tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True).keys() - special:
        wanted = ", ".join(sorted({str(file) for file in tokenizer.vocab_files_names.values()}))
        raise ModelError(
            f"{what}: {type(tokenizer).__name__} reads {wanted}, and found no token there but special ones. Name the "
            "right tokenizer_class in tokenizer_config.json, or save tokenizer.json with tokenizer.save_pretrained"
        )
    return tokenizer


def _config(directory: Path) -> dict[str, Any]:
    path = directory / "tokenizer_config.json"
    return read_json(path) if path.is_file() else {}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what transformers logs and prints while it loads: what matters of it is an error or a note."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def _differing_parts(own: tokenizers.Tokenizer, effective: tokenizers.Tokenizer) -> list[str]:
    """Parts of tokenizer.json that transformers replaced when it loaded it, both in today's form of the file."""
    before, after = json.loads(own.to_str()), json.loads(effective.to_str())
    return [part for part in _PARTS if before.get(part) != after.get(part)]


def _named_tokens(directory: Path) -> set[str]:
    """Every text that could be a token in the directory's own files."""
    named: set[str] = set()
    path = directory / "tokenizer.json"
    if path.is_file():
        named |= set(_parsed(path).get_vocab(with_added_tokens=True))
    for name in _SETTINGS_FILES:
        if (directory / name).is_file():
            named |= set(_strings(read_json(directory / name)))
    return named


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
