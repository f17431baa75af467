"""Power cuts in the middle of an install, with any part of the unsynced writes lost: old or new, never mixed."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from disk_model import Recorder, after_power_cut, write_out
from scenarios import Scenario, scenarios
from section import main, report, scratch


def record(scenario: Scenario, folder: Path) -> Recorder:
    """The operations of one whole install."""
    directory = scenario.fresh(folder)
    recorder = Recorder(directory)
    status = recorder.record(lambda: scenario.act(directory))
    if status != 0:
        raise RuntimeError(f"{scenario.name}: the undisturbed install ended with {status}")
    return recorder


def cut(scenario: Scenario, recorder: Recorder, folder: Path, generator: random.Random) -> str | None:
    """One power cut at a random moment; what is wrong afterwards, None where nothing is."""
    moment = generator.randrange(len(recorder.log) + 1)
    nodes = after_power_cut(recorder, moment, generator)
    place = folder / "after"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    write_out(nodes, recorder.top, place)
    problem = scenario.problem(place / "device")
    return None if problem is None else f"{scenario.name}: cut after {moment} of {len(recorder.log)}: {problem}"


def run(count: int) -> int:
    """``count`` power cuts, spread over the scenarios."""
    generator = random.Random(0)
    failures: list[str] = []
    with scratch() as name:
        folder = Path(name)
        recorded = [(scenario, record(scenario, folder)) for scenario in scenarios(folder)]
        for index in range(count):
            scenario, recorder = recorded[index % len(recorded)]
            problem = cut(scenario, recorder, folder, generator)
            if problem is not None:
                failures.append(problem)
    operations = sum(len(recorder.log) for _, recorder in recorded)
    return report(count, failures, f"of {operations} recorded operations, {len(recorded)} kinds of install")


if __name__ == "__main__":
    main(run, 2000)
