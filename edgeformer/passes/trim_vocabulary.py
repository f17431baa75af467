"""trim_vocabulary: drop tokens that the user's texts don't use, from tokenizer.json and the embedding together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch

from ..context import Tensors
from ..errors import ModelError, RecipeError
from ..model.base import Model
from ..tasks import get_task
from ..vocabulary.corpora import Corpus, read_corpus, row_texts
from ..vocabulary.coverage import check_corpus, count_tokens, held_out_growth
from ..vocabulary.selection import Selection, select
from ..vocabulary.tables import check_outputs, input_table, mentioned_ids, position_offset, reads_tokens, trim_tables
from ..vocabulary.tokenizer_file import TokenizerFile
from .base import Pass, PassContext, PassResult

_CHECKED_ROWS, _CHECKED_LENGTH = 2, 8


@dataclass(frozen=True)
class TrimVocabulary(Pass):
    """Keep special tokens, every single character or byte, and the tokens that the corpora use.

    Texts made of kept tokens are encoded as before, ids renumbered; other words fall into smaller pieces, never into
    unknown ones. It goes after ``recover``, whose teacher must read the same tokens, and before ``quantize``.

    Args:
        corpora: files, .txt (one text a line), .csv, .tsv or .jsonl (read as samples are, labels not needed).
        min_count: a token is used when it occurs this often.
        max_tokens: rows of the new table at most, the most used tokens first; None for no limit.
        keep_first: the tokens of the first so many ids stay too. Vocabularies are roughly ordered by frequency in
            the texts they were made from, so these are the words that unseen texts most likely use.
        use_rows: count the calibration and training rows too.
    """

    name: ClassVar[str] = "trim_vocabulary"

    corpora: tuple[str, ...] = ()
    min_count: int = 1
    max_tokens: int | None = None
    keep_first: int = 0
    use_rows: bool = True

    def __post_init__(self) -> None:
        if self.min_count < 1:
            raise RecipeError(f"trim_vocabulary: min_count = {self.min_count}: expected 1 or more")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise RecipeError(f"trim_vocabulary: max_tokens = {self.max_tokens}: expected 1 or more")
        if self.keep_first < 0:
            raise RecipeError(f"trim_vocabulary: keep_first = {self.keep_first}: expected 0 or more")
        if not self.corpora and not self.use_rows:
            raise RecipeError("trim_vocabulary: use_rows = false and no corpora: there is no text to keep tokens of")

    def suits(self, model: Model) -> None:
        """One graph alone: a tower's tokens are read by none of the functions here."""
        graphs = get_task(model.task).graphs
        if graphs:
            raise ModelError(
                f"model {model.name}: has {len(graphs)} graphs ({', '.join(graphs)}), and vocabularies are trimmed of "
                "models that have one. Leave trim_vocabulary out: write the recipe's other steps into a file "
                "(--recipe FILE.toml), or take --recipe small"
            )

    def requires(self, model: Model, context: PassContext) -> None:
        """A tokenizer, and a float table of token ids that covers it; nothing of a model that reads no tokens."""
        if not reads_tokens(model.module):
            return
        if model.tokenizer is None:
            raise ModelError(f"model {model.name}: has no tokenizer.json, so its vocabulary can't be trimmed")
        table = input_table(model.module)
        check_outputs(model.module)
        largest = max(TokenizerFile(model.tokenizer).ids.values())
        if largest >= table.num_embeddings:
            raise ModelError(
                f"tokenizer.json has the id {largest}, the embedding only {table.num_embeddings} rows: they don't fit"
            )

    def run(self, model: Model, context: PassContext) -> PassResult:
        """The model with a smaller table and tokenizer; unchanged where every token is used, or none is read."""
        if not reads_tokens(model.module):
            return PassResult(model, changed=False, facts={"left_out": "the model reads no tokens"})
        file = TokenizerFile(str(model.tokenizer))
        corpus = read_corpus(self.corpora, context.data, model.task, use_rows=self.use_rows)
        selection = self._selected(model, file, corpus, context)
        rows_before = input_table(model.module).num_embeddings
        facts: dict[str, Any] = {
            "kind": file.vocabulary.kind,
            "tokens_before": len(file.ids),
            "rows_before": rows_before,
            "tokens_after": len(selection.ids),
            "kept_by_rule": selection.counts,
            "kept_all_because": selection.kept_all_because,
            "sources": list(corpus.sources),
        }
        if len(selection.ids) == rows_before:
            return PassResult(model, changed=False, facts=facts)
        trimmed_file = file.trimmed(selection.new_ids)
        new = _trimmed_model(model, selection, trimmed_file.text)
        _check_same_outputs(model, new, selection, context.seed)
        width = input_table(new.module).weight.shape[1]
        facts["bytes_saved_float32"] = 4 * width * (rows_before - len(selection.ids))
        facts["corpora"] = check_corpus(file, trimmed_file, selection.new_ids, corpus.texts)
        facts["held_out"], facts["held_out_missing_because"] = _held_out(file, trimmed_file, context)
        return PassResult(new, changed=True, facts=facts)

    def ensures(self, model: Model) -> None:
        """Tokenizer and table have the same size, unless nothing was changed."""
        if not reads_tokens(model.module):
            return
        largest = max(TokenizerFile(str(model.tokenizer)).ids.values())
        if largest >= input_table(model.module).num_embeddings:
            raise ModelError(f"the trimmed tokenizer gives the id {largest}, which the table lacks")

    def _selected(self, model: Model, file: TokenizerFile, corpus: Corpus, context: PassContext) -> Selection:
        """The choice of tokens: the part that takes long on large corpora, so it is kept."""
        offset = position_offset(model.module)
        required = file.mentioned_ids() | mentioned_ids(model.module) | {model.signature.pad_token_id}
        required = (required | set(range(offset))) & set(file.ids.values())

        def make() -> tuple[Tensors, Mapping[str, Any]]:
            selection = select(
                file,
                count_tokens(file, corpus.texts),
                required,
                min_count=self.min_count,
                max_tokens=self.max_tokens,
                keep_first=self.keep_first,
            )
            ids = torch.tensor(selection.ids, dtype=torch.int64)
            return {"ids": ids}, {"counts": selection.counts, "kept_all_because": selection.kept_all_because}

        key = {
            "tokenizer": hashlib.sha256(file.text.encode()).hexdigest(),
            "corpus": corpus.digest(),
            "required": sorted(required),
            "settings": [self.min_count, self.max_tokens, self.keep_first],
        }
        tensors, facts = context.kept(self.name, key, make)
        return Selection(tuple(tensors["ids"].tolist()), dict(facts["counts"]), facts["kept_all_because"])


def _trimmed_model(model: Model, selection: Selection, tokenizer: str) -> Model:
    module = model.copy_module()
    trim_tables(module, selection.ids)
    new_ids = selection.new_ids
    pad = new_ids.get(model.signature.pad_token_id, 0)
    examples = tuple(
        _example(tensor, new_ids, pad) if spec.name == "input_ids" else tensor
        for spec, tensor in zip(model.inputs, model.example_inputs, strict=True)
    )
    return replace(
        model,
        module=module,
        signature=replace(model.with_text(tokenizer=tokenizer).signature.with_pad(pad), vocabulary=len(selection.ids)),
        example_inputs=examples,
    )


def _example(tensor: torch.Tensor, new_ids: Mapping[int, int], pad: int) -> torch.Tensor:
    """Ids inside the new table; a dropped token is replaced by any other than padding."""
    other = len(new_ids) - 1 if pad != len(new_ids) - 1 else 0
    flat = [new_ids.get(int(index), other) for index in tensor.reshape(-1)]
    return torch.tensor(flat, dtype=tensor.dtype).reshape(tensor.shape)


def _check_same_outputs(old: Model, new: Model, selection: Selection, seed: int) -> None:
    """The same tokens, under their old and new ids, must give the same outputs; raises ModelError.

    A family whose code treats ids as numbers (positions counted from the padding id, a token looked for by its id in
    a place that isn't in the config) shows here.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (_CHECKED_ROWS, min(_CHECKED_LENGTH, old.max_length or _CHECKED_LENGTH))
    new_ids = torch.randint(0, len(selection.ids), shape, generator=generator)
    real = torch.ones_like(new_ids)
    new_ids[-1, shape[1] // 2 :] = new.signature.pad_token_id
    real[-1, shape[1] // 2 :] = 0
    old_ids = torch.tensor(selection.ids)[new_ids]
    outputs = []
    for model, ids in ((old, old_ids), (new, new_ids)):
        feeds = {"input_ids": ids, "attention_mask": real, "token_type_ids": torch.zeros_like(ids)}
        with torch.inference_mode():
            outputs.append(model.callable_module()(*(feeds[spec.name] for spec in model.inputs)))
    for before, after in zip(*outputs, strict=True):
        if not torch.allclose(before, after, rtol=1e-4, atol=1e-5, equal_nan=True):
            raise ModelError(
                f"model {old.name} ({old.architecture}): renumbered ids give other outputs, so its code uses ids as "
                "numbers. Leave trim_vocabulary out"
            )


def _held_out(
    before: TokenizerFile, after: TokenizerFile, context: PassContext
) -> tuple[dict[str, Any] | None, str | None]:
    rows = None if context.data is None else context.data.validation.samples
    if rows is None:
        return None, "no validation rows: fewer than 40 rows to learn from were given"
    return held_out_growth(before, after, row_texts(rows.rows), "validation rows"), None
