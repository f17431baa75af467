"""The tests of the mutated inputs: that their failures are seen, and that a case is made again from its number."""

import os
import random
import signal
import time

import mutated_inputs
import mutations
import pytest


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_equal_numbers_make_equal_cases(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "config.json").write_text('{"a": 1, "b": [2, {"c": "d"}]}')
    (tmp_path / "source" / "rows.csv").write_text("text,label\na,0\nb,1\n")
    seen = set()
    for number in range(40):
        made = []
        for turn in ("first", "again"):
            folder = mutations.copied(tmp_path / "source", tmp_path / f"{turn}-{number}")
            made.append((mutations.of(random.Random(number), folder), files(folder)))
        assert made[0] == made[1]
        seen.add(str(made[0]))
    assert len(seen) > 30


@pytest.mark.parametrize(
    ("status", "text", "failure"),
    [
        (0, "", None),
        (2, "edgeformer: model x: a sentence that says what to do next", None),
        (2, "", "without a sentence"),
        (2, "edgeformer: no", "without a sentence"),
        (3, "edgeformer: model x: a sentence that says what to do next", "exit status 3"),
        (1, "Traceback (most recent call last):", "a traceback"),
        (1, f"edgeformer: it failed, {mutated_inputs._DEFECT}, please report it", "our own defect"),
    ],
)
def test_what_counts_as_a_failure(status, text, failure):
    found = mutated_inputs._wrong(status, text)
    assert (found is None) if failure is None else failure in found


def raises():
    raise ValueError("bare")


def spins():
    while time.process_time() < 1e9:
        pass


@pytest.mark.parametrize(("work", "failure"), [(raises, "ValueError: bare"), (spins, "took longer"), (lambda: 0, None)])
def test_an_exception_and_a_hang_are_failures(monkeypatch, work, failure):
    def stop(*_):
        raise mutated_inputs.TookTooLong

    monkeypatch.setattr(mutated_inputs, "CASE_S", 0.1)
    before = signal.signal(signal.SIGPROF, stop)
    try:
        _, _, found = mutated_inputs._run(work, 0)
    finally:
        signal.signal(signal.SIGPROF, before)
    assert (found is None) if failure is None else failure in found


def test_a_process_that_dies_is_named_and_the_others_go_on(monkeypatch, tmp_path):
    def case(number, sources, folder):
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return mutated_inputs.Outcome(number, "a case", 0, "", None, 0.0)

    monkeypatch.setattr(mutated_inputs, "try_case", case)
    found = list(mutated_inputs.outcomes(range(1, 7), tmp_path))
    assert [outcome.number for outcome in found] == list(range(1, 7))
    assert [outcome.number for outcome in found if outcome.failure] == [3]
    assert f"ended with {-signal.SIGKILL}" in found[2].failure
