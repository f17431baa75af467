"""report.html in a real headless browser without a network: headings and figures are there, and something is seen."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from edgeformer.report.html import render_html

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests/edgeformer/report/data/hand_written_report.json"
BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")
pytestmark = pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
TITLES = {
    "asked": "What was asked, and what came out",
    "before-after": "Before and after",
    "examples": "Examples",
    "variants": "Variants and their verification",
    "frontier": "Size, latency and metric",
    "bits": "Bits per layer",
    "pruning": "Pruning",
    "sensitivity": "Sensitivity",
    "passes": "Passes",
    "stages": "Time",
    "repeat": "To repeat it",
}


def browse(tmp_path, page, *arguments):
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
               "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}",
               "--enable-logging=stderr", *arguments, page.as_uri()]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    said = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    assert said == []  # a blocked picture or style is said here
    return result.stdout


class Dom(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.headings, self.sections, self.figures, self.addresses = [], [], {}, []
        self._tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._tags.append(tag)
        named = dict(attributes)
        if tag == "section":
            self.sections.append(named["id"])
            self.figures[named["id"]] = 0
        if tag == "svg":
            self.figures[self.sections[-1]] += 1
        self.addresses += [value for key, value in attributes if key in ("src", "href", "xlink:href", "srcset")]

    def handle_data(self, data):
        if self._tags and self._tags[-1] == "h2" and data.strip():
            self.headings.append(data)


def seen(path):
    """Pixels, [height, width, 3], 0…1."""
    return np.asarray(matplotlib.image.imread(path), dtype=float)[..., :3]


def check(page, tmp_path, figures):
    dom = Dom(browse(tmp_path, page, "--dump-dom"))
    assert dom.headings == list(TITLES.values())
    assert dom.sections == list(TITLES)
    assert {name: count for name, count in dom.figures.items() if count} == figures
    assert all(address.startswith("#") for address in dom.addresses)
    for width in (1200, 500):
        picture = tmp_path / f"{width}.png"
        browse(tmp_path, page, f"--window-size={width},2400", f"--screenshot={picture}")
        pixels = seen(picture)
        assert pixels.shape[1] == width
        bands = np.array_split(pixels, 6)
        assert all(band.std() > 0.01 for band in bands), "a sixth of the page is blank"


def test_a_report_with_everything(tmp_path):
    page = tmp_path / "report.html"
    page.write_text(render_html(json.loads(EXAMPLE.read_text(encoding="utf-8"))), encoding="utf-8")
    check(page, tmp_path, {"frontier": 2, "sensitivity": 1})


def test_plots_have_ink_where_the_page_puts_them(tmp_path):
    """Only the heat map of the page, drawn large: its colours are on the screen."""
    html = render_html(json.loads(EXAMPLE.read_text(encoding="utf-8")))
    heat_map = re.search(r'<section id="sensitivity">.*?</figure>', html, re.DOTALL)
    head = html[: html.index("<body>")]
    assert heat_map is not None
    page = tmp_path / "heat_map.html"
    page.write_text(f"{head}<body>{heat_map[0]}</section></body></html>", encoding="utf-8")
    browse(tmp_path, page, "--window-size=800,1200", f"--screenshot={tmp_path / 'plot.png'}")
    pixels = seen(tmp_path / "plot.png")
    red = (pixels[..., 0] > 0.6) & (pixels[..., 2] < 0.3)
    assert red.mean() > 0.05


def test_the_report_of_a_real_compile(tmp_path):
    """A tiny classifier, compiled through the command line."""
    made = subprocess.run([sys.executable, "-c", _COMPILE, str(tmp_path)], capture_output=True, text=True,
                          env={**os.environ, "EDGEFORMER_CACHE": str(tmp_path / "cache")})  # fmt: skip
    assert made.returncode == 0, made.stderr
    report = json.loads((tmp_path / "bundle/report.json").read_text(encoding="utf-8"))
    timed = report["search"]["candidates"][0]["latency_ms"] is not None
    check(tmp_path / "bundle/report.html", tmp_path, {"frontier": 2 if timed else 1})


_COMPILE = """
import json, pathlib, sys
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification
import edgeformer as ef
home = pathlib.Path(sys.argv[1])
words = "the a good bad film book was very not and plot".split()
tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(["[PAD]", "[UNK]", *words])}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
torch.manual_seed(3)
config = BertConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
                    max_position_embeddings=64, initializer_range=0.3, id2label={0: "bad", 1: "good"})
BertForSequenceClassification(config).save_pretrained(home / "model")
tokenizer.save(str(home / "model" / "tokenizer.json"))
rows = [{"text": " ".join(words[i % 7 : i % 7 + 4]) + " film" * (i % 5), "label": i % 2} for i in range(24)]
(home / "rows.jsonl").write_text("\\n".join(map(json.dumps, rows)))
recipe = ef.Recipe.preset("int8").with_setting("gate.min_cosine_integer_activations=0.9")
ef.compile(home / "model", output=home / "bundle", recipe=recipe, formats=["onnx"], sequence_lengths=[16],
           evaluation=home / "rows.jsonl")
"""
