"""Device reports side by side. Every figure here is invented."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer.cli import main
from edgeformer.commands.report import joined
from edgeformer.errors import InputError
from edgeformer.report.compare import ComparisonError, Named, compare, load
from edgeformer.report.compare_render import as_csv, as_html, as_markdown, as_text
from edgeformer_runtime.device.facts import probe
from edgeformer_runtime.measuring.findings import Accuracy, Energy, Interval, Sustained, Window
from edgeformer_runtime.measuring.report import Report
from edgeformer_runtime.power.base import PowerReading

DEVICE = dataclasses.replace(probe(), device_model="Board")
HOSTILE = "<script>alert(1)</script>|`x`\x1b[31m\n=1+1 [a](javascript:b) & \u202e"


def report(p50_ms: float = 10.0, half_ms: float = 0.1, **changes: object) -> Report:
    made = Report(
        bundle_name="tiny",
        bundle_digest="ab" * 32,
        variant="onnx",
        engine="onnxruntime 1.31.1 (CPUExecutionProvider)",
        threads=2,
        batch_size=1,
        sequence_length=64,
        warmup_runs=10,
        warmup_settled=True,
        duration_s=1.0,
        latencies_ms=(p50_ms,) * 4,
        load_ms=1.0,
        first_inference_ms=1.0,
        peak_rss_bytes=1,
        peak_rss_growth_bytes=1,
        temperature_c=50.0,
        power=PowerReading("unavailable", "none", reason="no sensor"),
        device=DEVICE,
        started_at="2026-01-01T00:00:00+00:00",
        runtime_version="0.1.0",
        protocol="standard",
        p50_interval=Interval(p50_ms - half_ms, p50_ms + half_ms, "t"),
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def measured(net_mj: float | None, scope: str = "module", status: str = "measured", **more: object) -> Report:
    model = "2.286+4.534·utilisation W, ±30 %" if status == "estimated" else None
    return report(
        power=PowerReading(status, "x", 6.0, scope, "VDD_IN", model),
        energy=Energy("sampled watts", 60.0, 1.0, net_mj, 0.5, 6.0, 0.1),
        **more,
    )


def test_speed_up_with_its_uncertainty_and_ranks() -> None:
    found = compare(
        [Named("a", report(20.0)), Named("b", report(10.0)), Named("c", report(10.15)), Named("d", report(5.0))]
    )
    assert [row.rank for row in found.rows] == [4, 2, 2, 1]  # the intervals of b and c overlap
    assert found.rows[1].speed_up.value == pytest.approx(2.0)
    assert found.rows[1].speed_up.uncertainty == pytest.approx(2 * (0.005**2 + 0.01**2) ** 0.5)
    assert found.rows[0].speed_up.value == 1.0
    other = compare([Named("a", report(20.0)), Named("b", report(10.0))], reference="b")
    assert [row.speed_up.value for row in other.rows] == [0.5, 1.0]
    with pytest.raises(InputError, match="expected one of a, b"):
        compare([Named("a", report()), Named("b", report())], reference="x")


def test_another_length_or_batch_is_shown_and_never_compared() -> None:
    found = compare(
        [Named("a", report()), Named("b", report(5.0, sequence_length=128)), Named("c", report(batch_size=4))]
    )
    assert [row.speed_up.value for row in found.rows] == [1.0, None, None]
    assert [row.rank for row in found.rows] == [None, None, None]
    assert "b: no speed-up against a: sequence length 64 against 128" in found.notes
    assert "c: no speed-up against a: batch 1 against 4" in found.notes
    assert any(note.startswith("not ranked") and "b, c" in note for note in found.notes)


def test_invalid_reports_are_marked_and_never_ranked() -> None:
    bad = report(1.0, invalid=("the device throttled itself",))
    found = compare([Named("a", report()), Named("bad", bad), Named("c", report(20.0))])
    assert [row.rank for row in found.rows] == [1, None, 2]
    assert found.rows[1].speed_up.value is None
    assert "bad: INVALID: the device throttled itself" in found.notes
    assert "bad (INVALID)" in as_text(found)
    found = compare([Named("bad", bad), Named("a", report())])
    assert found.rows[1].speed_up.value is None
    assert "a: no speed-up against bad: bad is invalid" in found.notes


def test_energy_is_ranked_within_one_status_and_scope_only() -> None:
    alike = [Named("a", measured(40.0)), Named("b", measured(20.0)), Named("c", report())]
    found = compare(alike, ranking="energy")
    assert [row.rank for row in found.rows] == [2, 1, None]
    for stranger in (measured(1.0, scope="board input"), measured(1.0, scope="module", status="estimated")):
        for ranking in ("energy", "power"):
            with pytest.raises(
                ComparisonError, match=rf"{ranking} can't be ranked .*measured, module \(a, b\); .*\(x\)"
            ):
                compare([*alike, Named("x", stranger)], ranking=ranking)
        assert compare([*alike, Named("x", stranger)]).rows[-1].power_covers != "measured, module"  # shown all the same
    unresolved = compare(
        [*alike, Named("u", measured(None, reasons={"energy.net_mj": "not resolved"}))], ranking="energy"
    )
    assert unresolved.rows[-1].rank is None
    assert "u: net energy: not resolved" in unresolved.notes
    invalid = Named("i", measured(1.0, scope="board input", invalid=("throttled",)))
    assert compare([*alike, invalid], ranking="energy").rows[1].rank == 1  # what isn't ranked can't be in the way


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(0.1, 1e3), st.floats(0, 10)), min_size=2, max_size=8))
def test_a_clearly_faster_one_ranks_before(figures: list[tuple[float, float]]) -> None:
    reports = [Named(str(i), report(p50, min(half, p50))) for i, (p50, half) in enumerate(figures)]
    rows = compare(reports).rows
    for one in rows:
        for other in rows:
            assert one.p50_interval is not None
            assert other.p50_interval is not None
            if one.p50_interval[1] < other.p50_interval[0]:
                assert one.rank is not None
                assert other.rank is not None
                assert one.rank < other.rank


def test_metrics_of_unequal_numbers_of_rows_are_noted() -> None:
    of = [Accuracy("accuracy", 0.9, 100), Accuracy("accuracy", 0.8, 1000), Accuracy("f1", 0.7, 50), None]
    found = compare([Named(name, report(accuracy=item)) for name, item in zip("abcd", of, strict=True)])
    notes = [note for note in found.notes if "rows" in note]
    assert notes == ["accuracy is of different rows, so a difference may be theirs: 100 rows (a); 1000 rows (b)"]
    assert notes[0] in as_text(found)
    alike = compare([Named("a", report(accuracy=of[0])), Named("b", report(accuracy=of[0]))])
    assert not [note for note in alike.notes if "rows" in note]


def test_csv_has_numbers_in_their_own_columns() -> None:
    found = compare([Named("a", measured(40.0, accuracy=Accuracy("accuracy", 0.9, 100))), Named("=cmd()", report(5.0))])
    first, second = csv.DictReader(io.StringIO(as_csv(found)))
    assert (float(first["p50_ms"]), float(first["energy_net_mj"]), first["power_covers"]) == (
        10,
        40,
        "measured, module",
    )
    assert (second["energy_net_mj"], second["power_w"], second["report"]) == ("", "", "'=cmd()")
    assert float(second["speed_up"]) == 2.0


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile() -> Report:
    device = dataclasses.replace(DEVICE, device_model=HOSTILE)
    return report(device=device, variant=HOSTILE, engine=HOSTILE, invalid=(HOSTILE,), protocol=HOSTILE)


def test_hostile_names_are_text_everywhere() -> None:
    found = compare([Named("a", report()), Named(HOSTILE, hostile())])
    parser = Tags()
    parser.feed(as_html(found))
    assert "script" not in parser.seen
    assert parser.seen <= {"html", "head", "meta", "title", "style", "body", "header", "main", "h1", "h2", "p", "div",
                           "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}  # fmt: skip
    assert "<script>alert(1)</script>" in parser.text
    for text in (as_text(found), as_markdown(found), as_csv(found)):
        assert "\x1b" not in text
        assert "\u202e" not in text
    table = [line for line in as_markdown(found).splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    assert not re.search(r"(?<!\\)<", as_markdown(found))
    assert len(list(csv.reader(io.StringIO(as_csv(found))))) == 3


# ---- the commands ----


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    windows = tuple(
        Window(10.0 * i, 10.0, 1000 - 5 * i, 10.0, 50.0 + i, 1500.0, 6.0, ("hot",) * (i > 15)) for i in range(18)
    )
    lasting = Sustained(windows, 100.0, 92.0, 60.0, ("hot",))
    (tmp_path / "orin.json").write_text(measured(40.0, sustained=lasting).to_json())
    (tmp_path / "pi.json").write_text(measured(20.0, scope="board input", status="estimated").to_json())
    return [tmp_path / "orin.json", tmp_path / "pi.json"]


def test_compare_from_the_command_line(files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(path) for path in files]
    assert (
        main(["report", "compare", *paths, "--csv", str(tmp_path / "c.csv"), "--html", str(tmp_path / "c.html")]) == 0
    )
    out = capsys.readouterr().out
    assert "orin" in out
    assert "estimated, board input" in out
    assert "40.00 ± 0.50" in out
    assert (tmp_path / "c.csv").read_text().count("\n") == 3
    assert "<table>" in (tmp_path / "c.html").read_text()
    assert main(["report", "compare", *paths, "--markdown", "--reference", "pi"]) == 0
    assert capsys.readouterr().out.startswith("| report |")
    assert main(["report", "compare", *paths, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reference"] == "orin"
    assert main(["report", "compare", *paths, "--rank", "energy"]) == 1
    assert "measured, module (orin); estimated, board input (pi)" in capsys.readouterr().err
    assert main(["report", "compare", str(tmp_path / "nowhere.json")]) == 2
    assert "can't be read" in capsys.readouterr().err


def test_sustained_plots(files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "plot.svg"
    assert main(["report", "sustained", str(files[0]), "-o", str(picture)]) == 0
    first = picture.read_bytes()
    assert ElementTree.fromstring(first).tag.endswith("svg")
    assert main(["report", "sustained", str(files[0]), "-o", str(picture)]) == 0
    assert picture.read_bytes() == first
    assert main(["report", "sustained", str(files[0]), "-o", str(tmp_path / "plot.png")]) == 0
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert main(["report", "sustained", str(files[1]), "-o", str(picture)]) == 2
    assert "pi: has no sustained run" in capsys.readouterr().err
    for wrong in (["-o", str(tmp_path / "plot.gif")], []):
        assert main(["report", "sustained", str(files[0]), *wrong]) == 2


def test_names_and_files_that_are_no_reports(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "r.json").write_text(report().to_json())
    assert [item.name for item in load([tmp_path / "a/r.json"])] == ["r"]
    assert len({item.name for item in load([tmp_path / "a/r.json", tmp_path / "b/r.json"])}) == 2
    with pytest.raises(InputError, match="twice"):
        load([tmp_path / "a/r.json"] * 2)
    for text in ("", "{}", '{"format_version": 1}', "[" * 10_000, "\x00"):
        (tmp_path / "wrong.json").write_text(text)
        with pytest.raises(InputError, match=r"wrong\.json"):
            load([tmp_path / "wrong.json"])


def test_the_two_words_are_one_command_and_a_bundle_keeps_its_place() -> None:
    assert joined(["report", "compare", "a"]) == ["report compare", "a"]
    assert joined(["report", "./compare", "-o", "x"]) == ["report", "./compare", "-o", "x"]
    assert joined(["report"]) == ["report"]
    assert joined([]) == []
