"""Several contestants timed in turns: a machine that heats up, or is busy for a moment, slows all of them alike."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, Dict, Generic, Hashable, List, Mapping, Tuple, Type, TypeVar, Union

from .timing import Amount, Clock, timed

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Turns(Generic[Name]):
    """``latencies_ms``: of each contestant a tuple a round, with one latency a timed call; ``failures``: the errors of
    those that dropped out, which have no latencies.
    """

    latencies_ms: Mapping[Name, Tuple[Tuple[float, ...], ...]]
    failures: Mapping[Name, Exception]

    def all_ms(self, name: Name) -> Tuple[float, ...]:
        """Every latency of one contestant, in order."""
        return tuple(latency for turn in self.latencies_ms[name] for latency in turn)


def in_turns(
    calls: Mapping[Name, Callable[[], object]],
    rounds: int,
    *,
    runs: Union[int, Mapping[Name, int]] = 1,
    unwatched: Union[int, Mapping[Name, int]] = 0,
    drop: Tuple[Type[Exception], ...] = (),
    clock: Clock = time.perf_counter,
) -> Turns[Name]:
    """Time each of ``calls`` in every round, one after the other in the order of the mapping.

    Args:
        calls: by name; each is one inference.
        rounds: how often everybody has a turn.
        runs: timed calls a turn, of all or of each.
        unwatched: calls before each turn that aren't timed: the first after another's finds cold caches.
        drop: errors with which a contestant leaves the race; any other ends it.
        clock: seconds.
    """
    found: Dict[Name, List[Tuple[float, ...]]] = {name: [] for name in calls}
    failures: Dict[Name, Exception] = {}
    for _ in range(rounds):
        for name, call in calls.items():
            if name in failures:
                continue
            try:
                for _ in range(_of(unwatched, name)):
                    call()
                found[name].append(tuple(timed(call, Amount(most_runs=_of(runs, name)), clock).latencies_ms))
            except drop as error:
                failures[name] = error
                del found[name]
    return Turns({name: tuple(turns) for name, turns in found.items()}, failures)


def _of(numbers: Union[int, Mapping[Name, int]], name: Name) -> int:
    return numbers if isinstance(numbers, int) else numbers[name]
