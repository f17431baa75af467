"""The committed table of families is what its generator gives: a handful in the fast run, all in the slow one, with
the ONNX files of one family of each kind; the files of all with `-m exhaustive`."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import survey
import tiny

# one of each kind: full attention, causal with a head at the last token, rewritten parts, no mask, more than a text
HANDFUL = ("albert", "gpt2", "t5", "deberta-v2", "fnet", "layoutlm", "mra")
# in the slow run: encoders with absolute, relative and rotary positions, disentangled and approximate attention, masks
# of a family's own, decoders with and without an encoder, latents, and one that is refused
WITH_ONNX = (
    "bert", "mpnet", "roformer", "deberta-v2", "xlnet", "yoso", "modernbert", "bart", "t5", "gpt2", "bloom", "llama",
    "perceiver", "deepseek_v2",
)  # fmt: skip


def without_figures(row):
    """Cells without the column of ONNX; measured numbers differ in their last digits from CPU to CPU."""
    cells = [re.sub(r"\d+\.?\d*(e-?\d+)?", "N", cell.strip()) for cell in row.split("|")]
    return cells[1:4] + cells[5:] if cells[2] == "yes" else cells[1:]


def test_the_table_names_every_family_and_no_defect():
    rows = survey.committed()
    assert set(rows) == set(tiny.families()), "run: python tests/edgeformer/families/survey.py --write"
    for family, row in rows.items():
        loads, why = row.split("|")[2].strip(), row.split("|")[5].strip()
        assert loads == "yes" or why, family
        assert "a defect" not in why, family


@pytest.mark.parametrize("family", HANDFUL)
def test_a_row_is_what_the_generator_gives(family):
    found = survey.surveyed(family, onnx=False)
    assert without_figures(found) == without_figures(survey.committed()[family])


@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in tiny.families() if family not in HANDFUL])
def test_every_row_is_what_the_generator_gives(family):
    known, found = map(without_figures, (survey.committed()[family], survey.surveyed(family, onnx=False)))
    if known[1] == "yes":
        known, found = known[:3], found[:3]  # a reason behind is one of ONNX
    assert found == known


EXPORTED = [
    pytest.param(family, marks=pytest.mark.slow if family in WITH_ONNX else pytest.mark.exhaustive)
    for family, row in survey.committed().items()
    if row.split("|")[2].strip() == "yes" and survey.NOT_TRIED not in row
]


@pytest.mark.parametrize("family", EXPORTED)
def test_every_onnx_file_is_what_the_generator_gives(family):
    known, found = survey.committed()[family], survey.surveyed(family)
    assert without_figures(found) == without_figures(known)
    assert found.split("|")[4] == known.split("|")[4]


def test_a_model_that_computes_something_else_would_be_a_defect(tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "_logits", lambda theirs, ids: theirs(input_ids=ids).logits[0].detach().numpy() + 1)
    row = survey.survey("albert", tmp_path, onnx=False)
    assert not row.loads
    assert "a defect" in row.why_not
