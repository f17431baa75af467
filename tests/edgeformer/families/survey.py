"""What becomes of every family of transformers that has a sequence classification head: one row of a table each.

    python tests/edgeformer/families/survey.py deberta-v2 xlnet     # these rows
    python tests/edgeformer/families/survey.py --write              # all of them, into FAMILIES.md beside this file
    python tests/edgeformer/families/survey.py --write xlnet        # this row alone, into FAMILIES.md

A row comes from a tiny model with random weights: it is loaded as a user's, compared with transformers' own forward on
texts of several lengths, alone and padded, exported to ONNX, and compared again. Where something fails, the row holds
the one sentence that a user gets.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))  # run as a file: the tests are no package
import tiny

TABLE = Path(__file__).parent / "FAMILIES.md"
LENGTHS = (5, 17, 40)  # of texts; each is run alone and padded to the next
PADDING = 9
NOT_TRIED = "not tried"
TOLERANCE = 2e-4  # of the largest output
_SAID = {True: "yes", False: "no", None: NOT_TRIED}
_MASKS = {"keys": "of its keys", "causal": "causal", "own": "its own"}


@dataclass(frozen=True)
class Row:
    """What becomes of one family."""

    family: str
    loads: bool = False
    mask: str = ""
    onnx: bool | None = False  # None: not tried
    why_not: str = ""

    def text(self) -> str:
        """A row of the table."""
        said = self.why_not.replace("|", "\\|")
        loads, onnx = (_SAID[done] for done in (self.loads, self.onnx))
        return f"| {self.family} | {loads} | {_MASKS.get(self.mask, '')} | {onnx} | {said} |"


def survey(family: str, directory: Path, onnx: bool = True) -> Row:
    """Try one family in an empty directory; ``onnx``: export it too."""
    import edgeformer as ef
    from edgeformer.errors import EdgeformerError

    try:
        theirs = tiny.tiny_model(family, directory / "model")
    except ImportError as error:
        return Row(family, why_not=f"transformers needs a package that isn't here: {_sentence(error)}")
    try:
        model = ef.load_model(directory / "model")
    except EdgeformerError as error:
        return Row(family, why_not=_sentence(error))
    feeds = texts(model)
    expected = [_logits(theirs, ids) for ids in feeds]
    module = model.callable_module()
    with torch.inference_mode():
        found = [module(*_padded(model, ids))[0][0].numpy() for ids in feeds]
    worst = _difference(found, expected)
    if worst > TOLERANCE:
        return Row(family, why_not=f"loaded, but off by {worst:.2g} of the largest logit when padded: a defect")
    if not onnx:
        return Row(family, loads=True, mask=model.options.mask, onnx=None)
    try:
        outputs = run_onnx(model, directory, feeds)
    except EdgeformerError as error:
        return Row(family, loads=True, mask=model.options.mask, why_not=_sentence(error))
    worst = _difference(outputs, expected)
    if worst > TOLERANCE:
        why = f"its ONNX file is off by {worst:.2g} of the largest logit; a compile refuses it, by its own comparison"
        return Row(family, loads=True, mask=model.options.mask, why_not=why)
    return Row(family, loads=True, mask=model.options.mask, onnx=True)


def texts(model: Any) -> list[torch.Tensor]:
    """Token ids [1, S] of a few lengths, each with the family's end token, where it has one, as its last."""
    config = model.module.config.get_text_config()
    end = getattr(config, "eos_token_id", None)
    made = []
    for length in LENGTHS:
        generator = torch.Generator().manual_seed(length)
        ids = torch.randint(10, tiny.VOCABULARY, (1, length), generator=generator)
        if type(end) is int:
            ids[0, -1] = end
        made.append(ids)
    return made


def _logits(theirs: Any, ids: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        logits: np.ndarray = theirs(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].numpy()
    return logits


def _padded(model: Any, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    padding = torch.full((1, PADDING), model.signature.pad_token_id)
    mask = torch.cat([torch.ones_like(ids), torch.zeros_like(padding)], 1)
    return torch.cat([ids, padding], 1), mask


def run_onnx(model: Any, directory: Path, feeds: list[torch.Tensor]) -> list[np.ndarray]:
    """Logits of the exported file; each text padded, beside another that isn't: a batch as a device runs it."""
    import onnxruntime

    from edgeformer_converters.base import ExportRequest, get_converter

    converter = get_converter("onnx")
    request = ExportRequest(
        module=model.callable_module(), inputs=model.inputs, outputs=model.outputs,
        example_inputs=model.example_inputs, sequence_lengths=(64,), plan=converter.plans(())[0],
    )  # fmt: skip
    converter.check(request)
    made = converter.export(request, directory)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(directory / made.path, options, providers=["CPUExecutionProvider"])
    outputs = []
    for ids in feeds:
        padded, mask = _padded(model, ids)
        other = torch.full_like(padded, 11)
        batch = torch.cat([padded, other]), torch.cat([mask, torch.ones_like(mask)])
        names = ("input_ids", "attention_mask")
        result = session.run(None, {name: value.numpy() for name, value in zip(names, batch, strict=True)})
        outputs.append(result[0][0])
    return outputs


def _difference(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Largest difference over the largest value; infinite where something isn't a number."""
    pairs = zip(found, expected, strict=True)
    worst = max(float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-6)) for a, b in pairs)
    return worst if np.isfinite(worst) else float("inf")


def _sentence(error: BaseException) -> str:
    """What a user reads, without the directory of this trial."""
    return " ".join(str(error).split()).removeprefix("model model: ")


def surveyed(family: str, onnx: bool = True) -> str:
    """The text of a family's row."""
    with tempfile.TemporaryDirectory() as directory:
        return survey(family, Path(directory), onnx).text()


def committed() -> dict[str, str]:
    """The rows of the table as it lies beside this file."""
    lines = TABLE.read_text(encoding="utf-8").splitlines() if TABLE.is_file() else []
    cells = ((line, line.split("|")) for line in lines if line.startswith("| "))
    return {cell[1].strip(): line for line, cell in cells if cell[1].strip() in tiny.families()}


def document(rows: Mapping[str, str]) -> str:
    """The whole table in Markdown."""
    import transformers

    columns = [line.split("|") for line in rows.values()]
    loads = sum(column[2].strip() == "yes" for column in columns)
    onnx = sum(column[4].strip() == "yes" for column in columns)
    return f"""# Families of transformers {transformers.__version__}

Made by `python tests/edgeformer/families/survey.py --write`: a tiny model with random weights of every family that has a
sequence classification head. Of {len(rows)} families, {loads} load and agree with transformers' own forward, alone and padded, and
{onnx} agree as ONNX too. "Mask" is what stands in front of the family's code: an additive mask of its keys, a causal one, or
zeros and ones, of which the family makes its own.

| family | agrees in torch | mask | agrees in ONNX | if not, what a user reads |
|---|---|---|---|---|
{chr(10).join(rows[family] for family in sorted(rows))}
"""  # noqa: E501


def quiet() -> None:
    """Nothing on the terminal but rows."""
    import transformers

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    os.environ["HF_HUB_OFFLINE"] = "1"


def main(words: list[str]) -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description="what becomes of families of transformers")
    parser.add_argument("family", nargs="*")
    parser.add_argument("--write", action="store_true", help=f"put the rows into {TABLE.name}")
    parser.add_argument("--torch-only", action="store_true", help="don't export: seconds instead of minutes")
    given = parser.parse_args(words)
    quiet()
    known = tiny.families()
    unknown = [name for name in given.family if name not in known]
    if unknown:
        parser.error(f"{unknown[0]}: not among the families with a sequence classification head: {', '.join(known)}")
    for family in given.family or known:
        row = surveyed(family, not given.torch_only)
        print(row, flush=True)
        if given.write:
            TABLE.write_text(document({**committed(), family: row}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
