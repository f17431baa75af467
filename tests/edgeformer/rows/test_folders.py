"""Rows of files: folders per label, and tables with paths."""

import pytest
from PIL import Image

from edgeformer.data.splits import row_digest
from edgeformer.errors import SamplesError
from edgeformer.rows.samples import read_samples
from edgeformer_runtime.bundle.manifest import TaskSpec

TASK = TaskSpec("image-classification", ("cat", "dog"))


def picture(path, color=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (2, 3), color).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    picture(tmp_path / "rows/cat/b.png", 1)
    picture(tmp_path / "rows/cat/a.PNG", 2)
    picture(tmp_path / "rows/Dog/deeper/c.jpg", 3)
    (tmp_path / "rows/cat/notes.txt").write_text("no picture")
    return tmp_path / "rows"


def test_a_folder_is_a_label(folder):
    samples = read_samples(folder, TASK, evaluation=True)
    assert [row.file.name for row in samples.rows] == ["c.jpg", "a.PNG", "b.png"]
    assert [row.target for row in samples.rows] == [1, 0, 0]
    assert samples.described() == "3 files; labels are the folders' names"
    assert len({row_digest(row) for row in samples.rows}) == 3


def test_equal_pictures_under_two_names_are_one_row(folder):
    (folder / "cat/copy.png").write_bytes((folder / "cat/b.png").read_bytes())
    rows = read_samples(folder, TASK, evaluation=False).rows
    assert len({row_digest(row) for row in rows}) == len(rows) - 1


def test_a_folder_of_files_alone_has_no_labels(tmp_path):
    picture(tmp_path / "a.png")
    samples = read_samples(tmp_path, TASK, evaluation=False)
    assert [row.target for row in samples.rows] == [None]
    with pytest.raises(SamplesError, match=r"row 1 \(a\.png\) has no label, and evaluation needs"):
        read_samples(tmp_path, TASK, evaluation=True)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("rows/horse/d.png", "folder 'horse' is no label of the model's, which are cat, dog: name each folder"),
        ("rows/d.png", "d.png lies beside the labels' folders, so it has no label"),
    ],
)
def test_what_is_no_label_is_named(folder, tmp_path, path, message):
    picture(tmp_path / path)
    with pytest.raises(SamplesError, match=message):
        read_samples(folder, TASK, evaluation=False)


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(SamplesError, match=r"holds no pictures \(\.jpg"):
        read_samples(tmp_path, TASK, evaluation=False)


def test_a_model_of_texts_reads_no_folder(folder):
    with pytest.raises(SamplesError, match=r"is a folder, expected a file of rows: \.csv"):
        read_samples(folder, TaskSpec("text-classification", ("cat", "dog")), evaluation=False)


def test_a_table_names_files_beside_it(folder):
    table = folder.parent / "rows.csv"
    table.write_text("image,label\nrows/cat/a.PNG,cat\nrows/Dog/deeper/c.jpg,dog\n")
    samples = read_samples(table, TASK, evaluation=True)
    assert [(row.file.name, row.target) for row in samples.rows] == [("a.PNG", 0), ("c.jpg", 1)]
    assert samples.described() == "paths from image; label holds names"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,label\nmissing.png,cat\n", "line 2: image: no file 'missing.png' beside rows.csv"),
        ("image,label\n,cat\n", "line 2: image: expected the path of a file, got ''"),
        ("text,label\nhello,cat\n", "no picture: expected a column image | audio | file"),
    ],
)
def test_a_table_that_names_nothing_is_refused(tmp_path, content, message):
    table = tmp_path / "rows.csv"
    table.write_text(content)
    with pytest.raises(SamplesError) as caught:
        read_samples(table, TASK, evaluation=False)
    assert message in str(caught.value)
