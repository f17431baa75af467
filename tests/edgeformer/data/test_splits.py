"""No row is chosen on and judged on, whatever the files look like."""

import json

import pytest

import edgeformer as ef
from edgeformer.data.splits import read_data, row_digest
from edgeformer.errors import SamplesError
from edgeformer.rows.samples import Sample


@pytest.fixture(scope="module")
def model(tiny_model):
    return ef.load_model(tiny_model)


def write(path, texts):
    rows = [{"text": text, "label": index * 2 // len(texts)} for index, text in enumerate(texts)]  # sorted by label
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def texts(name, count):
    return [f"{name} a good film number {index}" for index in range(count)]


def digests(rows):
    return {row_digest(row) for row in rows.samples.rows}


def test_validation_shares_no_row_with_what_is_learned_from(model, tmp_path):
    calibration = write(tmp_path / "calibration.jsonl", texts("c", 200))
    training = write(tmp_path / "training.jsonl", texts("t", 300) + texts("c", 150))
    data = read_data(model, 128, calibration, None, training)
    assert not digests(data.validation) & digests(data.training)
    assert not digests(data.validation) & digests(data.calibration)
    assert 60 < len(data.validation) < 140  # half of the calibration's
    assert len(data.calibration) + len(data.validation) == 200
    shared = len(digests(data.validation) & {row_digest(Sample(text)) for text in texts("c", 150)})
    assert len(data.training) == 450 - shared
    assert data.facts["validation"]["rows_used"] == len(data.validation)


def test_a_file_sorted_by_label_still_gives_both_labels(model, tmp_path):
    data = read_data(model, 128, write(tmp_path / "c.jsonl", texts("c", 2000)), None)
    assert len(data.calibration) == 256
    labels = [row.target for row in data.calibration.samples.rows]
    assert 80 < sum(labels) < 176
    assert {row.target for row in data.calibration.first(64).samples.rows} == {0, 1}


def test_a_small_file_is_not_split(model, tmp_path):
    data = read_data(model, 128, write(tmp_path / "c.jsonl", texts("c", 12)), None)
    assert len(data.calibration) == len(data.training) == 12
    assert data.validation.samples is None


def test_without_files_rows_are_made_up_and_say_so(model):
    data = read_data(model, 128, None, None)
    assert data.calibration.encoded(model).made_up
    assert data.evaluation.encoded(model).made_up
    assert len(data.training) == 0


def test_a_stray_shared_row_is_left_out_and_reported(model, tmp_path):
    evaluation = write(tmp_path / "e.jsonl", texts("e", 200))
    training = write(tmp_path / "t.jsonl", [*texts("t", 300), "  E a GOOD film   number 7"])
    data = read_data(model, 128, None, evaluation, training)
    judged = digests(data.evaluation)
    assert not judged & (digests(data.training) | digests(data.validation) | digests(data.calibration))
    assert data.facts["training"]["rows_shared_with_evaluation_left_out"] == 1


@pytest.mark.parametrize("name", ["calibration", "training"])
def test_many_shared_rows_are_refused(model, tmp_path, name):
    evaluation = write(tmp_path / "e.jsonl", texts("e", 200))
    other = write(tmp_path / "o.jsonl", texts("o", 200) + texts("e", 20))
    files = {"calibration": None, "training": None, name: other}
    with pytest.raises(SamplesError, match=r"20 rows of .*o.jsonl are also in .*e.jsonl \(the first is row 201\)"):
        read_data(model, 128, files["calibration"], evaluation, files["training"])


def test_rows_are_tokenized_anew_for_another_tokenizer(model, tmp_path):

    data = read_data(model, 128, write(tmp_path / "c.jsonl", texts("c", 12)), None)
    first = data.calibration.encoded(model)
    assert data.calibration.encoded(model) is first
    other = model.with_text(tokenizer=model.tokenizer.replace('"good"', '"goof"'))
    assert data.calibration.encoded(other).digest() != first.digest()
