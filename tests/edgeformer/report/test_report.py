"""report.json and report.html: every section, hostile texts, missing figures, and nothing from outside the file."""

import copy
import json
import math
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgeformer as ef
from edgeformer.cli import main
from edgeformer.errors import InputError
from edgeformer.report import plots, sections, wording
from edgeformer.report.data import layer_formats
from edgeformer.report.files import html_of, read_report
from edgeformer.report.html import render_html
from edgeformer.terminal.table import bundle_table
from edgeformer_runtime import Bundle, pack

EXAMPLE = Path(__file__).parent / "data" / "hand_written_report.json"  # invented figures, every section filled
TITLES = (
    "What was asked, and what came out", "Before and after", "Examples", "Variants and their verification",
    "Size, latency and metric", "Bits per layer", "Pruning", "Sensitivity", "Passes", "Time", "To repeat it",
)  # fmt: skip
HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)> $\\frac{1$ {{ 7*7 }} </style> &amp; 模型 \u202e"


class Page(HTMLParser):
    """Tags, attributes and texts of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.headings, self._heading = Counter(), [], [], [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, key, value) for key, value in attrs]
        self._heading = tag == "h2"

    def handle_data(self, data):
        self.text.append(data)
        if self._heading:
            self.headings.append(data)
            self._heading = False

    @property
    def words(self):
        return " ".join("".join(self.text).split())


@pytest.fixture(scope="module")
def example():
    return json.loads(EXAMPLE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def html(example):
    return render_html(example)


@pytest.fixture(scope="module")
def bundle(tiny_model, reviews, tmp_path_factory):
    recipe = ef.Recipe.preset("int8").with_setting("gate.min_cosine_integer_activations=0.9")
    return ef.compile(tiny_model, output=tmp_path_factory.mktemp("bundles") / "tiny", recipe=recipe, formats=["onnx"],
                      sequence_lengths=[16], evaluation=reviews["evaluation"], max_drop=0.5)  # fmt: skip


def test_the_example_fills_every_section(html):
    page = Page(html)
    assert tuple(page.headings) == TITLES
    assert page.tags["svg"] == 3
    for words in (
        "12.30 MB", "7.40×", "−0.60 to 1.45", "accuracy falls by 0.40 points", "McNemar p", "0.5413", "97.20 %",
        "coreml runs here by a numpy evaluator only", "at most 1.00 points are allowed", "4, removed",
        "encoder.layer.0.attention.self.query", "KL divergence of the logits", "max_size_bytes = 12500000",
        "edgeformer compile", "7.38 bits a weight",
    ):  # fmt: skip
        assert words in page.words, words


def test_every_point_of_a_plot_is_in_a_table(example, html):
    page = Page(html)
    for candidate in example["search"]["candidates"]:
        assert candidate["name"] in page.words
    for layer in example["passes"][2]["facts"]["profile"]["layers"]:
        for entry in layer["formats"].values():
            assert entry["damage"] is None or wording.number(entry["damage"]) in page.words


def outside(page):
    """Attributes that would fetch or run something."""
    fetching = {"src", "srcset", "action", "data", "poster", "background"}
    return [
        (tag, key, value)
        for tag, key, value in page.attributes
        if key in fetching or key.startswith("on") or (key.endswith("href") and not (value or "").startswith("#"))
    ]


def test_nothing_is_fetched_or_run(html):
    page = Page(html)
    assert outside(page) == []
    assert not {"script", "link", "iframe", "object", "embed", "image", "img", "base"} & set(page.tags)
    assert "://" not in html
    assert "@import" not in html
    assert html.count("url(") == html.count("url(#")


def replaced(value, old_keys=("name", "path", "role", "format", "executed_by", "reason", "claim", "engine", "file")):
    """Every name in the report made hostile; what is figures stays."""
    if isinstance(value, dict):
        return {
            key: f"{item}{HOSTILE}" if key in old_keys and isinstance(item, str) and item != "prune_structured"
            else replaced(item) for key, item in value.items()
        }  # fmt: skip
    return [replaced(item) for item in value] if isinstance(value, list) else value


def test_hostile_names_stay_texts(example, html):
    hostile = replaced(example)
    hostile.update(model=HOSTILE, producer=HOSTILE, command=HOSTILE, recipe_toml=HOSTILE, created_at=HOSTILE)
    hostile["task"] = {"name": HOSTILE, "labels": [HOSTILE]}
    hostile["search"]["candidates"][0]["refused_because"] = [HOSTILE]
    page = Page(render_html(hostile))
    plain = Page(html)
    assert page.tags["svg"] == 3
    for tag in ("script", "img", "style", "h2", "section"):
        assert page.tags[tag] == plain.tags[tag], tag
    assert outside(page) == []
    assert HOSTILE in "".join(page.text)  # shown as it is, neither evaluated nor cut


@settings(max_examples=20)
@given(st.text(max_size=40))
def test_any_model_name(name):
    report = {"model": name, "variants": [], "metrics": {}, "task": {"name": "tensors"}}
    page = Page(render_html(report))
    assert tuple(page.headings) == TITLES
    assert page.tags["h1"] == 1


def test_identifiers_are_unique_and_the_page_repeats(example, html):
    ids = [value for _, key, value in Page(html).attributes if key == "id"]
    assert len(ids) == len(set(ids))
    assert html == render_html(json.loads(json.dumps(example)))


def test_what_is_missing_is_said(html):
    poor = {
        "model": "m",
        "variants": [{"name": "onnx", "format": "onnx", "size_bytes": 10, "verification": None}],
        "metrics": {"uncompressed": {"size_bytes": 40, "metric": None, "reason": "no labels were given"}},
    }
    words = Page(render_html(poor)).words
    for reason in ("No metric: no labels were given", "latency not measured", "no pruning pass ran", "was not executed",
                   "no candidate has a metric", "no candidate was timed", "No sensitivity was measured",
                   "nothing can be claimed: not computed"):  # fmt: skip
        assert reason in words, reason
    assert "4.00×" in words
    assert "None" not in words
    assert "None" not in Page(html).words


@pytest.mark.parametrize("damage", [[[None, None]], [[0.0, -1e-9]], [[1e-3, None]], [[0.5, 0.5]]])
def test_heat_maps_of_odd_values(damage):
    svg = plots.heat_map(["a_b$c$"], ["int8", "int4"], damage, "unit", "p")
    assert "a_b$c$" in svg
    assert "<image" not in svg


@pytest.mark.parametrize("x", [[1.0], [1.0, 1.0], [0.0, 50.0], [0.01, 900.0]])
def test_frontiers_of_few_points(x):
    points = [plots.Point(str(i), value, 0.5, None, "chosen") for i, value in enumerate(x)]
    svg = plots.frontier(points, "MB", "%", "p")
    assert svg.startswith("<svg")
    assert all(f">{i}<" in svg for i in range(len(x)))


@pytest.mark.parametrize(("low", "high"), [(3e-9, 0.4), (1e-8, 1e-7), (0.2, 0.2), (1e-30, 1e-2)])
def test_damage_is_labelled_in_powers_of_ten(low, high):
    svg = plots.heat_map(["a"], ["int8", "int4"], [[low, high]], "unit", "p")
    assert "math" not in svg
    labels = re.findall(r">(\d(?:\.\d)?e-?\d+)<", svg)
    assert 1 <= len(labels) <= 5
    assert len(set(labels)) == len(labels)


def test_the_uncompressed_model_is_in_the_latency_plot(example):
    report = copy.deepcopy(example)
    assert "no figure here" in Page(render_html(report)).words
    report["metrics"]["uncompressed"]["latency"] = {"median_ms": 12.5}
    page = Page(render_html(report))
    assert "no figure here" not in page.words
    assert page.text.count("uncompressed") == 2  # in the legend of both plots


def test_stages_are_listed_and_never_summed(example):
    report = copy.deepcopy(example)
    assert "The whole time was not noted" in Page(render_html(report)).words
    report["seconds"] = 77.7
    report["stages"][1]["within"] = "a pass"
    words = Page(render_html(report)).words
    assert "77.7 s from the start" in words
    assert "part of a pass" in words
    assert "don't add up" in words


def test_rows_are_called_used_only_where_they_were(example):
    report = copy.deepcopy(example)
    report["data"]["training"]["used"] = False
    report["data"]["calibration"]["used"] = True
    rows = {row[0]: row[1:] for row in sections._data_rows(report)}
    assert rows["calibration"][:2] == ("train.csv", "yes")
    assert rows["training"][:4] == ("from train.csv", "no: nothing needed them", wording.DASH, "0")
    assert rows["validation"][:2] == ("from train.csv", "not noted")
    report["data"]["training"]["file"] = "other.csv"
    assert sections._data_rows(report)[2][1] == "from train.csv"  # a calibration file goes before
    assert sections._data_rows({})[0][1:3] == ("no file was given", wording.DASH)


def test_likeness_and_cosine_are_explained(html, bundle):
    words = Page(html).words
    assert "plain cosine" in words
    assert "The gate uses the likeness that 99 % of the samples reach" in words
    assert "likeness: " in bundle_table(bundle)


def test_wording():
    assert wording.size(12_300_000) == "12.30 MB"
    assert wording.size(3072) == "3.1 kB"
    assert wording.points(-0.0123) == "−1.23 points"
    assert wording.points(-1e-9) == "0.00 points"
    assert wording.probability(1e-9) == "< 0.0001"
    assert wording.milliseconds(123.4) == "123 ms"
    assert {f(None) for f in (wording.percent, wording.points, wording.size, wording.cosine)} == {wording.DASH}


def test_a_compile_writes_both_files(bundle):
    report = read_report(bundle.path)
    assert report["bundle_digest"] == bundle.digest
    assert render_html(report) == (bundle.path / "report.html").read_text(encoding="utf-8")
    statistics = report["metrics"]["compressed"]["statistics"]
    assert statistics["samples"] == 24
    assert "the allowed 50.00 points" in statistics["claim"]
    assert [item["chosen"] for item in report["search"]["candidates"]] == [True]
    entry = report["variants"][0]
    assert entry["statistics"].get("claim") or entry["statistics"]["reason"]
    assert entry["latency"]["median_ms"] or entry["latency"]["reason"]
    assert ef.Recipe.from_toml(report["recipe_toml"]).to_dict() == report["recipe"]


@pytest.mark.parametrize("preset", ["int8", pytest.param("auto", marks=pytest.mark.slow)])
def test_a_compile_notes_its_whole_time_and_what_it_read(tiny_model, reviews, tmp_path, preset):
    recipe = ef.Recipe.preset(preset).with_setting("gate.min_cosine_integer_activations=-1")
    rows = [{"text": f"a good film number {index}", "label": index % 2} for index in range(160)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    bundle = ef.compile(
        tiny_model, output=tmp_path / "bundle", recipe=recipe, formats=["onnx"], sequence_lengths=[16], max_drop=0.9,
        resume=False, calibration=tmp_path / "rows.jsonl", evaluation=reviews["evaluation"],
    )  # fmt: skip
    report = read_report(bundle.path)
    assert report["data"]["evaluation"]["used"]
    names = [item["name"] for item in report["stages"]]
    if preset == "auto":
        assert report["data"]["calibration"]["used"]
        assert "compare on validation rows" in names
    else:
        assert not report["data"]["training"]["used"]
        assert not report["data"]["validation"]["used"]
    assert "used" not in json.dumps(dict(bundle.manifest.sources)["data"]).replace("rows_used", "")
    apart = sum(item["seconds"] for item in report["stages"] if not item["within"])
    assert apart - 0.01 <= report["seconds"] + 0.01 * len(names)


def test_layers_add_up_to_the_weights(bundle, tiny_model):
    from safetensors.numpy import load_file

    report = read_report(bundle.path)
    held = {path: array.size for path, array in load_file(tiny_model / "model.safetensors").items()}
    for layer in report["layers"]:
        assert layer["parameters"] == held[f"{layer['path']}.weight"]
        assert layer["size_bytes"] == layer["parameters"] * layer["bits"] / 8
    formats = {layer["path"]: layer["format"] for layer in report["layers"]}
    assert formats["bert.encoder.layer.0.intermediate.dense"] == "int8"
    assert formats["classifier"] == "float32"


def test_layers_of_a_float_model(tiny_model):
    layers = layer_formats(ef.load_model(tiny_model))
    assert {layer["bits"] for layer in layers} == {32}
    assert math.prod([layer["parameters"] for layer in layers]) > 0


def test_report_again_from_bundle_zip_and_json(bundle, tmp_path, capsys):
    again = tmp_path / "again.html"
    for source in (bundle.path, pack(bundle.path, tmp_path / "b.zip"), bundle.path / "report.json"):
        assert main(["report", str(source), "-o", str(again)]) == 0
        assert again.read_text(encoding="utf-8") == (bundle.path / "report.html").read_text(encoding="utf-8")
        again.unlink()
    assert main(["report", str(bundle.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "tiny-bert"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such report"),
        ("{", "not JSON"),
        ("[]", "format_version None"),
        ('{"format_version": 7}', "reads reports of version 1"),
        ('{"format_version": 1}', "not a report as edgeformer writes it"),
        ('{"format_version": 1, "variants": 3}', "not a report as edgeformer writes it"),
    ],
)
def test_what_is_no_report_ends_with_2(tmp_path, capsys, content, message):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    assert main(["report", str(path), "-o", str(tmp_path / "out.html")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.html").exists()


def test_report_needs_somewhere_to_go(bundle, capsys):
    assert main(["report", str(bundle.path)]) == 2
    assert "-o FILE" in capsys.readouterr().err


def test_a_report_of_another_bundle_is_refused(bundle, tmp_path):
    import shutil

    other = tmp_path / "other"
    shutil.copytree(bundle.path, other)
    report = json.loads((other / "report.json").read_text())
    report["bundle_digest"] = "0" * 64
    (other / "report.json").write_text(json.dumps(report))
    assert Bundle.open(other).digest == bundle.digest
    with pytest.raises(InputError, match="left from another compile"):
        read_report(other)


def test_a_report_with_wrong_types_is_refused(example, tmp_path):
    for key, value in (("layers", [1]), ("stages", [{"name": "x"}]), ("passes", {"a": 1})):
        wrong = {**copy.deepcopy(example), key: value}
        with pytest.raises(InputError, match="not a report"):
            html_of(wrong, tmp_path / "report.json")
