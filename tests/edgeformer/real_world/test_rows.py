"""Files of rows as people have them: what each label must come out as, or the sentence that says why not."""

import json

import kit
import numpy as np
import pytest
import torch

from edgeformer.errors import SamplesError
from edgeformer.rows.samples import read_samples
from edgeformer_runtime.bundle.manifest import TaskSpec

THREE = ("sport", "money", "tech")
CLASSES = TaskSpec("text-classification", THREE)
SEVERAL = TaskSpec("text-classification", THREE, multi_label=True)
STARS = TaskSpec("text-classification", ("1", "2", "3", "4", "5"))
NUMBER = TaskSpec("text-classification", ("LABEL_0",), regression=True)
NAMELESS = TaskSpec("text-classification", ("LABEL_0", "LABEL_1", "LABEL_2"))
TAGS = TaskSpec("token-classification", ("O", "B-MISC", "B-PER"))
ANSWERS = TaskSpec("question-answering")
VECTORS = TaskSpec("feature-extraction")


def case(name, task, file, text, right, source, seen, said):
    return pytest.param(task, file, text, right, id=name, marks=pytest.mark.complaint(source, seen, said))


def lines(*rows):
    return "\n".join(map(json.dumps, rows))


READ = [
    case(
        "vectors-as-text", SEVERAL, "rows.csv", 'text,labels\na,"[0, 1, 1]"\nb,"[1, 0, 0]"\nc,[0 0 0]\n',
        [[1, 2], [0], []], "ThilinaRajapakse/simpletransformers#51",
        "lists of 0 and 1 come back from a CSV as text: too many dimensions 'str'",
        "a vector in a cell is a vector, as JSON, Python or numpy write it",
    ),
    case(
        "float-vectors", SEVERAL, "rows.jsonl", lines({"text": "a", "label": [0.0, 1.0, 1.0]},
        {"text": "b", "label": [1.0, 0.0, 0.0]}), [[1, 2], [0]], "huggingface/setfit#250",
        "multi-label rows as vectors of 0 and 1 fail or are cast between int and float",
        "floats of 0 and 1 are the same vector as ints",
    ),
    case(
        "column-a-label", SEVERAL, "rows.csv", "id,text,tech,sport,money\n1,a,1,0,1\n2,b,0,1,0\n",
        [[1, 2], [0]], "ThilinaRajapakse/simpletransformers#58",
        "six columns of 0 and 1, one a label, had to be joined by hand: shape is invalid for input of size 2",
        "columns named as the model's labels are read together, in the model's order",
    ),
    case(
        "names-in-one-cell", SEVERAL, "rows.csv", 'text,label\na,"money\ntech"\nb,sport\n', [[1, 2], [0]],
        "deepset-ai/FARM#493", "several labels joined by a line end: 'MM\\nPR' is not in list",
        "names separated by bar, comma, semicolon or line end are several labels",
    ),
    case(
        "ids-in-one-cell", SEVERAL, "rows.csv", 'text,label\na,"1,2"\nb,0\n', [[1, 2], [0]],
        "appvision-ai/fast-bert#225", "integer labels in a multi-label column had to be cast to text",
        "ids are read the same in CSV and JSON",
    ),
    case(
        "semicolons", CLASSES, "rows.csv", 'text;label\n"good; bad, and ""odd""\nstill";sport\nb;tech\n', [0, 2],
        "Giskard-AI/ai-inspector#15", "a CSV separated by semicolons: error 500",
        "the separator is found by the header, and said; quoted text may hold it",
    ),
    case(
        "tabs-in-a-csv", CLASSES, "rows.csv", "label\ttext\nsport\ta, b\ntech\tc\n", [0, 2],
        "huggingface/datasets#1773", "a tab-separated file called .csv comes out as one column",
        "the separator is found by the header",
    ),
    case(
        "byte-order-mark", CLASSES, "rows.csv", b"\xef\xbb\xbftext,label\r\na,sport\r\nb,tech\r\n\r\n", [0, 2],
        "UKGovernmentBEIS/inspect_ai#5353", "a spreadsheet's export has no column of that name, though it is there",
        "the mark is no part of the name; Windows line ends and an empty last line are nothing",
    ),
    case(
        "json-list", CLASSES, "rows.json", json.dumps([{"text": "a", "label": 0}, {"text": "b", "label": 2}], indent=1),
        [0, 2], "huggingface/datasets#1784", "a JSON file that is a list: 'list' object has no attribute 'keys'",
        "a list of objects is read like one object a line",
    ),
    case(
        "labels-column", CLASSES, "rows.csv", "sentence,labels,idx\na,sport,0\nb,tech,1\n", [0, 2],
        "huggingface/setfit#226", "a column of another name than label: a column mapping must be provided",
        "sentence and labels are known; what isn't used is named",
    ),
    case(
        "stars", STARS, "rows.csv", "text,label\na,1\nb,5\nc,3\n", [0, 4, 2], "huggingface/transformers#10401",
        "labels matched by position though the model numbers them otherwise: 4 % instead of 90 %",
        "'5' is no id of five labels, so all of the file are names",
    ),
    case(
        "ids-of-stars", STARS, "rows.csv", "text,label\na,0\nb,4\nc,2\n", [0, 4, 2], "google-research/bert#652",
        "labels come out in another order than they were given in",
        "'0' is no name of this model, so all of the file are ids: none is taken for a name",
    ),
    case(
        "ids-as-floats", CLASSES, "rows.csv", "text,label\na,0.0\nb,2.0\nc,1.0\n", [0, 2, 1],
        "huggingface/transformers#19181", "whole labels that are written as floats: expected Long, got Float",
        "1.0 is the id 1, in CSV and JSON",
    ),
    case(
        "ner-by-name", TAGS, "rows.jsonl", lines({"tokens": ["Ada", "ran"], "ner_tags": ["B-PER", "O"]}), [[2, 0]],
        "huggingface/transformers#14230", "tags numbered otherwise by data set and model: the accuracy is wrong",
        "names are matched with the model's own; ner_tags is known, and the meaning is said",
    ),
    case(
        "squad", ANSWERS, "rows.jsonl", lines({"id": "1", "title": "t", "question": "q", "context": "a b",
        "answers": {"text": ["a"], "answer_start": [0]}}), [["a"]], "huggingface/datasets#743",
        "columns that other tools want in a form of their own", "SQuAD's answers are read as they are",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("task", "file", "text", "right"), READ)
def test_read(tmp_path, task, file, text, right):
    path = tmp_path / file
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    samples = read_samples(path, task, evaluation=True)
    assert [row.target for row in samples.rows] == right
    assert "holds" in samples.described()


REFUSED = [
    case(
        "either", STARS, "rows.csv", "text,label\na,1\nb,2\n",
        r"line 2: label '1' can be read in two ways.*as ids it is '2'; as names it is '1'.*label_ids or label_names",
        "huggingface/transformers#12822", "label ids of a data set and of a model differ in order",
        "where all rows allow both readings the file is refused, with both named",
    ),
    case(
        "mixed", CLASSES, "rows.csv", "text,label\na,sport\nb,2\n",
        r"no one meaning: line 2 \('sport'\) holds names, line 3 \('2'\) holds ids",
        "davidberenstein1957/classy-classification#28", "labels and scores are paired wrongly",
        "a file's labels have one meaning; a mix is refused with a line of each",
    ),
    case(
        "cut-floats", CLASSES, "rows.csv", "text,label\na,1.5\nb,0\n", "line 2: label 1.5 is no label",
        "deepset-ai/FARM#395", "float labels become integers in silence", "1.5 is refused, never cut to 1",
    ),
    case(
        "soft-labels", SEVERAL, "rows.jsonl", lines({"text": "a", "label": [0.7, 0.1, 0.2]}), "soft labels are not",
        "open-mmlab/mmdetection#1909", "a probability as a label has to be an integer",
        "soft labels are refused by that name",
    ),
    case(
        "withheld", CLASSES, "rows.csv", "text,label\na,-1\nb,-1\n", "line 2: label '-1'.*withheld",
        "huggingface/datasets#245", "every label of a benchmark's test file is -1",
        "refused: such rows can't be judged",
    ),
    case(
        "one-score", VECTORS, "rows.csv", "sentence1,sentence2,score\na,b,1\nc,d,1.0\n", "every row has the target 1",
        "huggingface/sentence-transformers#829", "a correlation of nan: always the same score",
        "constant scores are refused, as one class is",
    ),
    case(
        "one-number", NUMBER, "rows.csv", "text,label\na,0.5\nb,0.5\n", "every row has the target 0.5",
        "huggingface/sentence-transformers#2729", "ConstantInputWarning: correlation is not defined",
        "constant regression targets are refused",
    ),
    case(
        "not-a-number", NUMBER, "rows.csv", "text,label\na,0.5\nb,nan\n", "line 3: label: expected a finite number",
        "huggingface/transformers#11555", "Pearson and Spearman are nan", "a target of nan is refused with its line",
    ),
    case(
        "nameless", NAMELESS, "rows.csv", "text,label\na,b\nc,d\ne,f\n",
        r"3 names \(b, d, f\).*LABEL_0.*--labels b,d,f.*order", "huggingface/transformers#13334",
        "the names of the labels were not saved with the model",
        "the rows' names, and the line to paste, with the word that their order is training's",
    ),
    case(
        "other-case", CLASSES, "rows.csv", "text,label\na,Sport\nb,tech\n", "The model writes it 'sport'",
        "huggingface/transformers#10555", "some models write their labels in capitals, some don't",
        "refused, with the model's spelling",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("task", "file", "text", "expected"), REFUSED)
def test_refused(tmp_path, task, file, text, expected):
    path = tmp_path / file
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SamplesError, match=f"(?s){expected}"):
        read_samples(path, task, evaluation=True)


@pytest.mark.complaint(
    "huggingface/setfit#250",
    "vectors of 0 and 1 taken for something else: errors, or a metric of 15 %",
    "ids, names and vectors give one exact match of 100 %, and output and report say which they were",
)
@pytest.mark.parametrize("form", ["ids", "names", "vectors", "vectors as floats"])
def test_several_labels_are_judged_alike_whatever_they_are(tmp_path, capsys, form):
    texts, hot = several(tmp_path / "model")
    written = {
        "ids": [[int(i) for i in range(3) if row[i]] for row in hot],
        "names": [[THREE[i] for i in range(3) if row[i]] for row in hot],
        "vectors": [[int(bit) for bit in row] for row in hot],
        "vectors as floats": [[float(bit) for bit in row] for row in hot],
    }[form]
    rows = tmp_path / "rows.jsonl"
    rows.write_text(lines(*({"text": t, "label": y} for t, y in zip(texts, written, strict=True))))
    ran = kit.compile_model(
        capsys, tmp_path / "model", tmp_path / "bundle", "--evaluation", rows, "--sequence-lengths", 32
    )
    assert ran.status == 0, ran.err
    meaning = form.split()[0]
    assert f"label holds {meaning}" in ran.out
    assert f"label holds {meaning}" in ran.err
    assert "exact_match 100.0 %" in ran.out
    report = json.loads((tmp_path / "bundle" / "report.json").read_text())
    assert report["data"]["evaluation"]["target"] == meaning


def several(directory):
    """A multi-label model whose labels are each true for about half of the texts; the texts, and what it decides."""
    names = {"id2label": dict(enumerate(THREE)), "label2id": {name: index for index, name in enumerate(THREE)}}
    model = kit.bert_classifier(directory, problem_type="multi_label_classification", **names)
    texts = kit.sentences(24, 3)
    middle = np.median(kit.transformers_logits(directory, texts), axis=0)
    with torch.no_grad():
        model.classifier.bias.sub_(torch.tensor(middle))
    model.save_pretrained(directory)
    hot = kit.transformers_logits(directory, texts) > 0
    assert hot.any(axis=0).all()
    assert not hot.all(axis=0).any()
    return texts, hot
