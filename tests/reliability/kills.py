"""Kill an install before each of its writes, renames and syncs: the old bundle is current then, or the new one."""

from __future__ import annotations

import random
from pathlib import Path

from scenarios import Scenario, scenarios
from section import main, report, scratch
from syscalls import Traced


def steps_of(scenario: Scenario, folder: Path) -> list[str]:
    """The calls of an install that nobody disturbs."""
    directory = scenario.fresh(folder)
    traced = Traced(lambda: scenario.act(directory), directory)
    names = [call.name for call, done in traced.stops() if not done]
    if traced.status != 0:
        raise RuntimeError(f"{scenario.name}: the undisturbed install ended with {traced.status}")
    return names


def kill_at(scenario: Scenario, directory: Path, step: int) -> bool:
    """Kill an install in ``directory`` before its call number ``step``; False where it ended before."""
    traced = Traced(lambda: scenario.act(directory), directory)
    index = 0
    for _, done in traced.stops():  # the generator ends with the child
        if not done and index == step:
            traced.kill()
            return True
        index += not done
    return False


def run(count: int) -> int:
    """Every step of every scenario where ``count`` allows it; what is left of it, kills of the install that goes on."""
    failures: list[str] = []
    generator = random.Random(0)
    with scratch() as name:
        folder = Path(name)
        found = [(scenario, steps_of(scenario, folder)) for scenario in scenarios(folder)]
        places = [(scenario, step, calls[step]) for scenario, calls in found for step in range(len(calls))]
        chosen = places if count >= len(places) else generator.sample(places, count)
        twice = count - len(chosen)
        for scenario, step, call in chosen:
            directory = scenario.fresh(folder)
            assert kill_at(scenario, directory, step)
            problem = scenario.problem(directory)
            if problem is not None:
                failures.append(f"{scenario.name}: killed before step {step} ({call}): {problem}")
        for _ in range(twice):
            scenario, calls = found[generator.randrange(len(found))]
            directory = scenario.fresh(folder)
            first, second = generator.randrange(len(calls)), generator.randrange(len(calls))
            kill_at(scenario, directory, first)
            killed = kill_at(scenario, directory, second)
            problem = scenario.problem(directory)
            if problem is not None:
                failures.append(f"{scenario.name}: killed before step {first}, again {second} ({killed}): {problem}")
    every = f"before each of {len(places)} calls, then {twice} times twice in a row" if twice else "a sample of calls"
    return report(len(chosen) + twice, failures, every)


if __name__ == "__main__":
    main(run, 1000)
