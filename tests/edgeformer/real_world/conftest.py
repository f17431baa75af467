"""Each test here answers a complaint that people brought to a tool of this field. ``--complaints FILE`` writes the
table of them, one row a case, from the markers themselves."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `import kit`


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A BERT classifier of three labels with its tokenizer."""
    directory = tmp_path_factory.mktemp("checkpoints") / "classifier"
    import kit

    kit.bert_classifier(directory)
    return directory


@pytest.fixture
def copy(classifier, tmp_path):
    """A copy of it to change."""
    return shutil.copytree(classifier, tmp_path / "model")


def pytest_addoption(parser):
    parser.addoption("--complaints", metavar="FILE", help="write the table of complaints and what is right")


def pytest_collection_modifyitems(config, items):
    path = config.getoption("--complaints", default=None)
    if not path:
        return
    rows = []
    for item in items:
        marker = item.get_closest_marker("complaint")
        if marker is not None:
            source, seen, right = marker.args
            rows.append(f"| {source} | {seen} | {right} | `{item.path.name}::{item.name}` |")
    head = "| source | what people saw | what is right | test |\n|---|---|---|---|\n"
    Path(path).write_text(head + "\n".join(dict.fromkeys(rows)) + "\n", encoding="utf-8")
