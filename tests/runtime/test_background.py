from __future__ import annotations

import threading

import pytest

from edgeformer_runtime.background import Background, Gate
from edgeformer_runtime.errors import BusyError, InputError


def test_calls_run_in_order_in_another_thread():
    background = Background(100)
    seen = []

    def call(value):
        seen.append((value, threading.current_thread()))
        return value * 2

    futures = [background.submit(call, value) for value in range(20)]
    assert [future.result(60) for future in futures] == list(range(0, 40, 2))
    assert [value for value, _ in seen] == list(range(20))
    assert len({thread for _, thread in seen}) == 1
    assert seen[0][1] is not threading.current_thread()
    background.close()


def test_an_error_is_the_futures():
    background = Background(1)
    with pytest.raises(ZeroDivisionError):
        background.submit(lambda: 1 // 0).result(60)
    background.close()


def test_a_full_queue_refuses_at_once_and_takes_more_when_one_is_done():
    background, go = Background(2), threading.Event()
    first, second = background.submit(go.wait, 60), background.submit(int)
    with pytest.raises(BusyError, match="2 calls wait"):
        background.submit(int)
    go.set()
    assert (first.result(60), second.result(60)) == (True, 0)
    assert background.submit(int).result(60) == 0
    background.close()


def test_closing_cancels_what_waits_and_lets_run_what_runs():
    background, go, started = Background(9), threading.Event(), threading.Event()

    def slow():
        started.set()
        return go.wait(60)

    running, waiting = background.submit(slow), background.submit(int)
    assert started.wait(60)
    background.close()
    background.close()
    assert waiting.cancelled()
    go.set()
    assert running.result(60) is True
    with pytest.raises(InputError, match="closed"):
        background.submit(int)


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "2"])
def test_a_queue_size_that_makes_no_sense(size):
    with pytest.raises(InputError, match="queue size"):
        Background(size)


def test_the_last_one_out_after_closing_releases():
    gate = Gate()
    gate.enter()
    gate.enter()
    assert gate.close() is False
    with pytest.raises(InputError, match="closed"):
        gate.enter()
    assert gate.leave() is False
    assert gate.leave() is True
    assert gate.close() is False


def test_an_empty_gate_is_released_by_closing_it_once():
    gate = Gate()
    gate.enter()
    assert gate.leave() is False
    assert gate.close() is True
    assert gate.close() is False


def test_exactly_one_of_many_threads_releases():
    for _ in range(50):
        gate, releases = Gate(), []

        def work(gate=gate, releases=releases):
            try:
                gate.enter()
            except InputError:
                return
            if gate.leave():
                releases.append("a call")

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        if gate.close():
            releases.append("close")
        for thread in threads:
            thread.join()
        assert len(releases) == 1
