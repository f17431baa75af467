"""A session used from several threads, closed while it runs, and from asyncio: on the real engines."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from concurrent.futures import CancelledError

import numpy as np
import pytest

from edgeformer_runtime import BusyError, InputError, Session

PACKAGES = {"onnx": "onnxruntime", "tflite": "ai_edge_litert"}


@pytest.fixture(params=sorted(PACKAGES))
def session(request, make_bundle):
    pytest.importorskip(PACKAGES[request.param])
    with Session.open(make_bundle(variants=(request.param,)), threads=1) as opened:
        yield opened


def feeds(word, length=6):
    ids = np.full((1, length), word)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def in_threads(count, work):
    errors = []

    def guarded(index):
        try:
            work(index)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors


def test_threads_get_their_own_results(session, table):
    def work(index):
        for turn in range(100):
            word = 4 + (index + turn) % 6
            result = session.run(feeds(word, 3 + turn % 12))
            np.testing.assert_allclose(result["logits"], table[[word]], atol=1e-5)

    assert in_threads(6, work) == []


def test_predict_from_threads(session):
    def work(index):
        word = ("good", "bad")[index % 2]
        for _ in range(20):
            assert session.predict([word])[0].label == word

    assert in_threads(4, work) == []


def test_closing_while_others_run_ends_each_well(session):
    done, started = [], threading.Barrier(5)

    def work(index):
        started.wait()
        for _ in range(100_000):
            session.run(feeds(4))
            done.append(index)

    closer = threading.Timer(0.05, session.close)
    threading.Thread(target=lambda: (started.wait(), closer.start())).start()
    errors = in_threads(4, work)
    closer.join()
    assert [type(error) for error in errors] == [InputError] * 4
    assert all("closed" in str(error) for error in errors)
    assert done
    with pytest.raises(InputError, match="closed"):
        session.run(feeds(4))


def test_the_last_call_releases_the_model(session):
    runner, inside, go = session._runner, threading.Event(), threading.Event()
    real = runner.model.run

    def slow(given):
        inside.set()
        assert go.wait(60)
        return real(given)

    runner.model.run = slow
    results = []
    thread = threading.Thread(target=lambda: results.append(session.run(feeds(4))))
    thread.start()
    assert inside.wait(60)
    session.close()
    go.set()
    thread.join(60)
    assert results[0]["logits"].shape == (1, 3)
    closed = runner.model._session if hasattr(runner.model, "_session") else runner.model._interpreter
    assert closed is None


def test_run_async_gives_what_run_gives(session):
    futures = [session.run_async(feeds(word)) for word in (4, 5, 6)]
    for word, future in zip((4, 5, 6), futures):
        np.testing.assert_array_equal(future.result(60)["logits"], session.run(feeds(word))["logits"])
    assert session.predict_async(["good"]).result(60)[0].label == "good"
    with pytest.raises(InputError, match="missing"):
        session.run_async({}).result(60)


def test_run_async_in_asyncio(session):
    async def serve():
        calls = [asyncio.wrap_future(session.run_async(feeds(word))) for word in (4, 5)]
        return await asyncio.gather(*calls)

    good, bad = asyncio.run(serve())
    assert (int(good["logits"].argmax()), int(bad["logits"].argmax())) == (1, 0)


def test_a_full_queue_and_closing_with_calls_that_wait(make_bundle):
    pytest.importorskip("onnxruntime")
    session = Session.open(make_bundle(), queue_size=2)
    go = threading.Event()
    real = session._runner.model.run
    session._runner.model.run = lambda given: (go.wait(60), real(given))[1]
    first, second = session.run_async(feeds(4)), session.run_async(feeds(4))
    with pytest.raises(BusyError, match="larger queue_size"):
        session.run_async(feeds(4))
    session.close()
    go.set()
    with pytest.raises(CancelledError):
        second.result(60)
    # the first one had either begun, and ends well, or was cancelled too
    assert first.cancelled() or isinstance(first.exception(60), (InputError, type(None)))
    with pytest.raises(InputError, match="closed"):
        session.run_async(feeds(4))
    with pytest.raises(InputError, match="queue size"):
        Session.open(make_bundle(name="other"), queue_size=0)


def test_a_session_that_nobody_closed_warns(make_bundle):
    pytest.importorskip("onnxruntime")
    session = Session.open(make_bundle())
    kept = [session]
    del session
    with pytest.warns(ResourceWarning, match="never closed"):
        kept.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Session.open(make_bundle(name="other")).close()
        gc.collect()
