"""Examples in a report: which rows, in which order, small pictures, and names and labels that stay texts."""

import base64
import io
import json
import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from edgeformer.report.examples import MOST, choose
from edgeformer.report.files import write_report
from edgeformer.report.html import render_html
from edgeformer.report.sections_of_examples import SIDE, thumbnails

HOSTILE = "<script>alert('x')</script>\"><img src=http://x onerror=alert(1)> {{ 7*7 }} &amp; 模型 \u202e"


def row(number, label, otherwise=(), file=None):
    said = {"labels": [label], "score": 0.75}
    variants = {
        name: {"labels": ["other"], "score": 0.51} if name in otherwise else said for name in ("onnx", "tflite")
    }
    return {"row": number, "file": file or f"{label}/{number}.png", "target": {"labels": [label]},
            "uncompressed": said, "variants": variants, "otherwise": list(otherwise)}  # fmt: skip


def report_of(rows, of="pictures"):
    found = {"of": of, "rows": rows, "samples": len(rows), "otherwise": sum(bool(item["otherwise"]) for item in rows)}
    return {"model": "m", "variants": [], "metrics": {}, "task": {"name": "image-classification"}, "examples": found}


def save(path, pixels, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **settings)
    return path


def section(html):
    return re.search(r'<section id="examples">.*?</section>', html, re.DOTALL)[0]


def pictures(html):
    return [Image.open(io.BytesIO(base64.b64decode(data)))
            for data in re.findall(r'src="data:image/(?:jpeg|png);base64,([^"]+)"', html)]  # fmt: skip


def test_other_decisions_come_first_and_labels_take_turns():
    rows = [row(index, "abcd"[index // 100], ["onnx"] if index in (7, 8, 350) else ()) for index in range(400)]
    found = choose(rows)
    assert found == choose(rows)
    assert len(found) == MOST
    assert [bool(item["otherwise"]) for item in found] == [True] * 3 + [False] * (MOST - 3)
    assert {item["target"]["labels"][0] for item in found[:2]} == {"a", "d"}
    assert set(Counter(item["target"]["labels"][0] for item in found[3:]).values()) == {2, 3}
    assert len(choose(rows[:2])) == 2
    assert choose([]) == []


def test_many_other_decisions_leave_no_place_for_others():
    found = choose([row(index, f"label {index % 50}", ["tflite"] if index % 2 else ()) for index in range(200)])
    assert all(item["otherwise"] for item in found)
    assert len({item["target"]["labels"][0] for item in found}) == MOST


def test_a_page_shows_pictures_upright_and_small(tmp_path):
    tall = np.zeros((400, 200, 3))
    tall[:200] = (250, 10, 10)  # red above black, stored lying on its side
    exif = Image.Exif()
    exif[274], exif[305] = 6, "a camera of somebody's"
    file = save(tmp_path / "a" / "1.jpg", np.rot90(tall), exif=exif, quality=95)
    write_report(tmp_path, report_of([row(1, "a", ["onnx"])]), {1: file})
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    (small,) = pictures(html)
    assert small.size == (SIDE // 2, SIDE)
    assert small.getpixel((10, 10))[0] > 200 > 50 > small.getpixel((10, 90))[0]
    assert not small.getexif()
    assert 'alt="Picture a/1.png"' in html
    assert "<strong>≠\u00a0other 51.0\u00a0%</strong>" in html
    assert "a 75.0\u00a0%" in html
    assert "edgeformer report BUNDLE -o BUNDLE/report.html" in html
    assert "base64" not in (tmp_path / "report.json").read_text(encoding="utf-8")


def test_the_worst_pictures_stay_small(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (MOST, 300, 300, 3))
    files = {number: save(tmp_path / f"{number}.png", noise[number - 1]) for number in range(1, MOST + 1)}
    report = report_of([row(number, "a") for number in files])
    assert len(section(render_html(report, thumbnails(report, files)))) < 150_000


def test_files_that_are_gone_or_damaged_get_a_sentence(tmp_path):
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    files = {1: tmp_path / "gone.png", 2: tmp_path / "damaged.png", 3: tmp_path, 4: save(tmp_path / "4.png", [[9]])}
    report = report_of([row(number, "a") for number in files])
    html = section(render_html(report, thumbnails(report, files)))
    assert html.count("<img") == 1
    assert html.count(">not shown<") == 3
    assert "Not shown: a/1.png: can&#39;t be opened" in html
    assert "Not shown: a/2.png: no picture, or damaged" in html
    assert "Not shown: a/3.png: expected a file" in html
    assert str(tmp_path) not in html


def test_hostile_names_and_labels_stay_texts(tmp_path):
    report = report_of([row(1, HOSTILE, ["onnx"], file=HOSTILE)])
    html = section(render_html(report, thumbnails(report, {1: save(tmp_path / "1.png", [[1, 2]])})))
    assert html.count("<img") == 1
    assert "<script" not in html
    assert "49" not in html
    assert "{{ 7*7 }}" in html
    assert 'src="http' not in html
    report["examples"]["rows"][0]["picture"] = report["pictures"] = "http://x"
    assert "<img" not in section(render_html(report))


def test_without_files_the_page_says_where_the_pictures_are():
    html = section(render_html(json.loads(json.dumps(report_of([row(1, "a")])))))
    assert "<img" not in html
    assert "only in the report.html that the compile wrote" in html
    assert "a/1.png" in html
    assert "Of none a variant says otherwise" in html


def test_sounds_are_named_and_numbers_shown(tmp_path):
    item = row(1, "a", file="1.wav")
    item |= {"target": {"value": 3}, "uncompressed": {"value": 2.5}, "variants": {"onnx": None}}
    report = report_of([item], of="sounds")
    html = section(render_html(report, thumbnails(report, {1: tmp_path / "1.wav"})))
    assert "<img" not in html
    assert "picture" not in html
    for text in ("1.wav", ">3<", ">2.5<", "nothing: NaN or infinity"):
        assert text in html


@pytest.mark.parametrize("found", [None, {"rows": None, "reason": "no evaluation rows were given"}])
def test_no_examples_have_a_reason(found):
    html = section(render_html({**report_of([]), "examples": found}))
    assert (found["reason"] if found else "they were not noted") in html
