"""RESULTS.md is a file of record: a run replaces its own part and touches nothing else."""

import io
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from results import FILE, as_markdown, cpu_class, recorded, replaced

sys.path.pop(0)

ZEN4 = "vendor_id : AuthenticAMD\nflags : fpu avx2 avx512bw avx512_vnni\n"


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (ZEN4, "AVX512-VNNI, AMD"),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx avx2\n", "AVX2 without VNNI, AMD"),
        ("vendor_id: GenuineIntel\nflags: avx2 avx512bw avx512_vnni amx_int8", "AMX, AVX512-VNNI, Intel"),
        ("vendor_id: GenuineIntel\nflags: avx2 avx512bw", "AVX512 without VNNI, Intel"),
        ("processor : 0\nFeatures : fp asimd asimddp\n", "Arm with dot product"),
        ("processor : 0\nFeatures : fp asimd\n", "Arm without dot product"),
        ("", "unknown instruction set"),
    ],
)
def test_classes_of_cpus(cpuinfo, expected):
    assert cpu_class(cpuinfo) == expected


def test_a_part_is_replaced_and_the_rest_stays():
    text = "# Results\n\nintro\n"
    text = replaced(text, "B", "minilm", "old")
    text = replaced(text, "A", "minilm", "other class")
    text = replaced(text, "B", "bert_base", "other part")
    text = replaced(text, "B", "minilm", "new")
    assert text.splitlines()[::2] == [
        "# Results", "intro", "## A", "### minilm", "other class",
        "## B", "### bert_base", "other part", "### minilm", "new",
    ]  # fmt: skip
    assert replaced(text, "B", "minilm", "new") == text


def test_the_committed_file_is_in_the_form_that_a_run_keeps():
    text = FILE.read_text(encoding="utf-8")
    cut = text.index("### ", text.index("## AVX2 without VNNI, AMD")) + len("### bert_base\n\n")
    body = text[cut:].split("\n##")[0]  # up to the next part, or the next class of CPUs
    assert replaced(text, "AVX2 without VNNI, AMD", "bert_base", body) == text


def test_tables_stay_tables_and_lines_become_text():
    assert as_markdown("\nrun\n| a |\n|---|\n| 1 |\nend: 3 s\n") == (
        "```text\nrun\n```\n\n| a |\n|---|\n| 1 |\n\n```text\nend: 3 s\n```"
    )


def test_what_is_printed_is_shown_and_kept_only_if_it_ends_well(tmp_path, capsys):
    file = tmp_path / "RESULTS.md"
    with recorded("minilm", "2026-01-02: here", file):
        print("| 1 |")
    assert capsys.readouterr().out == "| 1 |\n"
    kept = file.read_text(encoding="utf-8")
    assert "### minilm\n\n2026-01-02: here\n\n| 1 |\n" in kept
    with pytest.raises(ZeroDivisionError), recorded("minilm", "later", file):
        print(1 / 0, file=io.StringIO())
    assert file.read_text(encoding="utf-8") == kept
