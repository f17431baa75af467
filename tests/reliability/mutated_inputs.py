"""Mutated inputs: model directories, adapters and files of rows that went wrong in some way. Each is read or refused
in one sentence: no traceback, no exit status but 0, 1 and 2, no hang, no dead process, and no cause that is our defect.

Small models of several families are made once. A case copies one, changes a file or two (``mutations``), and goes the
way of the command line as far as it is cheap: load, merge, read the rows. Of the cases that pass, one in
``COMPILE_EVERY`` goes all of the way to a float32 bundle. Cases run in processes of their own that are limited in time
and memory, so that one that kills its process is named. A case's number is its seed: --only N runs it alone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

# Cases are forked: a child of a process with a pool of threads waits for ever for threads that it doesn't have.
os.environ.update(OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

import mutations
from section import report, scratch

sys.path.insert(0, str(Path(__file__).parents[1] / "edgeformer" / "real_world"))

CASE_S = 30  # of the processor's time, which a busy machine doesn't lengthen
SILENT_S = 600  # of a process that neither works nor ends
PORTION = 100
MEMORY_BYTES = 4 << 30  # beyond what the process has when it starts
COMPILE_EVERY = 25
_DEFECT, _GAP = "that is a defect in edgeformer", "that is a gap in edgeformer"


class TookTooLong(BaseException):
    """Not an Exception: nothing that is tested may catch it."""


@dataclass(frozen=True)
class Source:
    """A sound input: a model, an adapter for it or none, and rows that fit."""

    name: str
    model: str
    adapter: str | None
    rows: str


SOURCES = (
    Source("BERT, classification", "bert", None, "classes.csv"),
    Source("BERT with LoRA", "bert", "lora", "classes.jsonl"),
    Source("RoBERTa, tokens", "roberta", None, "tokens.jsonl"),
    Source("DistilBERT, answers", "distilbert", None, "answers.jsonl"),
    Source("sentence embedding", "embedding", None, "scores.csv"),
    Source("BERT in shards, several labels", "shards", None, "vectors.json"),
)


def make_sources(folder: Path) -> None:
    """Every model, adapter and file of rows that is named above."""
    import kit
    import peft
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    names = {"id2label": {0: "sport", 1: "money", 2: "tech"}, "label2id": {"sport": 0, "money": 1, "tech": 2}}
    bert = kit.bert_classifier(folder / "bert", **names)
    settings = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"], init_lora_weights=False)
    peft.get_peft_model(bert, settings).save_pretrained(folder / "lora")
    _make(folder / "roberta", "RobertaForTokenClassification", "RobertaConfig", kit.byte_bpe, type_vocab_size=1,
          pad_token_id=1, num_labels=3)  # fmt: skip
    small = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
    _make(folder / "distilbert", "DistilBertForQuestionAnswering", "DistilBertConfig", kit.wordpiece, **small)
    _make(folder / "embedding", "BertModel", "BertConfig", kit.wordpiece)
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(kinds.items())
    ]
    _write(folder / "embedding" / "modules.json", modules)
    _write(folder / "embedding" / "sentence_bert_config.json", {"max_seq_length": 48, "do_lower_case": False})
    _write(
        folder / "embedding" / "1_Pooling" / "config.json",
        {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True},
    )
    shards = kit.bert_classifier(folder / "shards", problem_type="multi_label_classification", **names)
    (folder / "shards" / "model.safetensors").unlink()
    shards.save_pretrained(folder / "shards", max_shard_size="40KB")
    _make_rows(folder, kit.sentences(24))


def _make(folder: Path, model: str, config: str, tokenizer: Any, **settings: Any) -> None:
    import kit
    import transformers

    saved = tokenizer(folder)
    sizes = {**(kit.SMALL if "Distil" not in config else {"max_position_embeddings": 64}), **settings}
    made = getattr(transformers, config)(vocab_size=len(saved), **sizes)
    kit.seeded(getattr(transformers, model), made).save_pretrained(folder)


def _make_rows(folder: Path, texts: list[str]) -> None:
    labels = [index % 3 for index in range(len(texts))]
    names = ("sport", "money", "tech")
    _lines(folder / "classes.csv", ["text,label", *(f"{t},{names[y]}" for t, y in zip(texts, labels, strict=True))])
    _lines(folder / "classes.jsonl", [json.dumps({"text": t, "label": y}) for t, y in zip(texts, labels, strict=True)])
    vectors = [{"text": t, "labels": [int(y == 0), int(y < 2), 1.0]} for t, y in zip(texts, labels, strict=True)]
    _write(folder / "vectors.json", vectors)
    words = [t.split() for t in texts]
    _lines(folder / "tokens.jsonl", [json.dumps({"tokens": w, "labels": [len(x) % 3 for x in w]}) for w in words])
    answers = [
        {"question": "what?", "context": t, "answers": {"text": [t.split()[0]], "answer_start": [0]}} for t in texts
    ]
    _lines(folder / "answers.jsonl", list(map(json.dumps, answers)))
    pairs = [f"{a},{b},{index % 5}" for index, (a, b) in enumerate(pairwise(texts))]
    _lines(folder / "scores.csv", ["sentence1,sentence2,score", *pairs])


def _lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


@dataclass(frozen=True)
class Outcome:
    """What became of a case; ``failure`` is None where it went as it should."""

    number: int
    what: str
    status: int
    text: str
    failure: str | None
    seconds: float


def try_case(number: int, sources: Path, folder: Path) -> Outcome:
    """Make case ``number`` and run it."""
    draw = random.Random(number)
    source = SOURCES[number % len(SOURCES)]
    paths = {"model": folder / "model", "rows": folder / source.rows}
    mutations.copied(sources / source.model, paths["model"])
    shutil.copy(sources / source.rows, paths["rows"])
    if source.adapter:
        paths["adapter"] = mutations.copied(sources / source.adapter, folder / "adapter")
    changed = draw.choices(("model", "adapter", "rows"), (5, 5 if source.adapter else 0, 3))[0]
    what = f"{source.name}: {_mutate(draw, paths[changed])}"
    start = time.process_time()
    status, text, failure = _run(lambda: _cheap(paths), number)
    if status == 0 and failure is None and draw.randrange(COMPILE_EVERY) == 0:
        what += ", compiled"
        status, text, failure = _run(lambda: _compile(paths, folder / "bundle"), number)
    return Outcome(number, what, status, text, failure, time.process_time() - start)


def _mutate(draw: random.Random, path: Path) -> str:
    if path.is_dir():
        return mutations.structure(draw, path) if draw.randrange(10) == 0 else mutations.of(draw, path)
    alone = path.parent / "rows"
    alone.mkdir()
    moved = path.rename(alone / path.name)
    done = mutations.of(draw, alone)
    if os.path.lexists(moved):
        moved.rename(path)
    return done


def _cheap(paths: dict[str, Path]) -> int:
    """Load, merge and read the rows, under the same net as the command line."""
    from edgeformer.cli import guarded
    from edgeformer.data.splits import read_data
    from edgeformer.loading.load import load_model
    from edgeformer.loading.weights_check import refuse_untrained
    from edgeformer.passes.base import PassContext, run_passes
    from edgeformer.passes.merge_lora import AdapterSource, MergeLora
    from edgeformer.rows.samples import has_pairs

    def work() -> None:
        adapters = [paths["adapter"]] if "adapter" in paths else []
        model = load_model(paths["model"], adapters=adapters, pair=has_pairs(paths["rows"]))
        data = read_data(model, 32, None, paths["rows"])
        merge = MergeLora(tuple(AdapterSource(str(path)) for path in adapters))
        merged = run_passes(model, (merge,), PassContext(data=data))
        refuse_untrained(merged.uncompressed)
        data.evaluation.encoded(merged.model)

    return guarded(work, debug=False)


def _compile(paths: dict[str, Path], bundle: Path) -> int:
    from edgeformer import cli

    words = ["compile", paths["model"], "-o", bundle, "--recipe", "float32", "--format", "onnx", "--no-resume",
             "--sequence-lengths", "32", "--evaluation", paths["rows"], "--threads", "1"]  # fmt: skip
    if "adapter" in paths:
        words += ["--adapter", paths["adapter"]]
    return cli.main([str(word) for word in words])


def _run(work: Any, number: int) -> tuple[int, str, str | None]:
    """Exit status, what was printed, and why that is a failure or None."""
    out, error = io.StringIO(), io.StringIO()
    signal.setitimer(signal.ITIMER_PROF, CASE_S)
    status, failure = -1, None
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            status = work()
    except SystemExit as stop:
        status = int(stop.code or 0)
    except TookTooLong:
        failure = f"took longer than {CASE_S} s"
    except BaseException as raised:
        failure = f"{type(raised).__name__}: {raised}; {traceback.format_exc()[-600:]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    text = error.getvalue() + out.getvalue()
    return status, text, failure or _wrong(status, text)


def _wrong(status: int, text: str) -> str | None:
    said = [line for line in text.splitlines() if line.startswith("edgeformer: ")]
    if status not in (0, 1, 2):
        return f"exit status {status}"
    if "Traceback" in text:
        return "a traceback"
    if status and not (said and len(said[0]) > 40):
        return f"exit status {status} without a sentence"
    return "our own defect" if _DEFECT in text else None


def _portion(numbers: range, sources: Path, pipe: int) -> None:
    """Run cases in this process, writing a line when one begins and one when it ends."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))

    def stop(*_: Any) -> None:
        raise TookTooLong

    signal.signal(signal.SIGPROF, stop)
    with os.fdopen(pipe, "w", encoding="utf-8") as results:
        for number in numbers:
            print(json.dumps({"begin": number}), file=results, flush=True)
            with scratch() as folder:
                outcome = try_case(number, sources, Path(folder))
                mutations.unlocked(Path(folder))
            print(json.dumps({"end": outcome.__dict__}), file=results, flush=True)


def outcomes(cases: range, sources: Path) -> Iterator[Outcome]:
    """Every case's outcome; the one in which a process dies, or stands still, is a failure of its own."""
    start = cases.start
    while start < cases.stop:
        numbers = range(start, min(start + PORTION, cases.stop))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            try:
                _portion(numbers, sources, writing)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.close(writing)
        begun, start = start, numbers.stop
        for line in _until_silent(reading, child):
            found = json.loads(line)
            if "begin" in found:
                begun = found["begin"]
                continue
            yield Outcome(**found["end"])
            begun += 1
        _, status = os.waitpid(child, 0)
        if begun < numbers.stop:
            died = os.waitstatus_to_exitcode(status)
            yield Outcome(begun, SOURCES[begun % len(SOURCES)].name, -1, "", f"its process ended with {died}", 0.0)
            start = begun + 1


def _until_silent(pipe: int, child: int) -> Iterator[str]:
    """Lines of a process, which is ended when it says nothing for much longer than a case may take."""
    rest = b""
    while True:
        ready, _, _ = select.select([pipe], [], [], SILENT_S)
        if not ready:
            os.kill(child, signal.SIGKILL)
        data = os.read(pipe, 1 << 16)
        if not data:
            os.close(pipe)
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from (line.decode() for line in lines)


def run(count: int, first: int = 0) -> int:
    """``count`` cases from number ``first`` on, after the sound inputs have passed."""
    failures: list[str] = []
    with scratch() as place:
        sources = Path(place)
        make_sources(sources)
        failures += _sound(sources)
        seen = list(outcomes(range(first, first + count), sources)) if not failures else []
    failures += [
        f"case {found.number}, {found.what}: {found.failure}: {_last(found.text)}" for found in seen if found.failure
    ]
    statuses = Counter(found.status for found in seen)
    gaps = sum(_GAP in found.text for found in seen)
    compiled = sum(found.what.endswith(", compiled") for found in seen)
    slowest = max((found.seconds for found in seen), default=0.0)
    refused = statuses[1] + statuses[2]
    note = f"{statuses[0]} read, {compiled} compiled, {refused} refused, {gaps} by a library, slowest {slowest:.1f} s"
    return report(len(seen), failures, note)


def _sound(sources: Path) -> list[str]:
    """Each source as it is: what isn't read when it is sound tells nothing when it is changed."""
    found = []
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for source in SOURCES:
        paths = {"model": sources / source.model, "rows": sources / source.rows}
        if source.adapter:
            paths["adapter"] = sources / source.adapter
        status, text, failure = _run(lambda paths=paths: _cheap(paths), -1)
        if status != 0 or failure:
            found.append(f"{source.name} is sound, and was refused: {_last(text)}")
    return found


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("edgeformer: ")] or text.splitlines()[-1:]
    return lines[0][:600] if lines else ""


def main() -> None:
    """--count N cases, or --only N: one, with all that it printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first: others than usual")
    parser.add_argument("--only", type=int, metavar="N", help="run case N alone and show what it printed")
    options = parser.parse_args()
    if options.only is None:
        sys.exit(run(options.count, options.first))
    with scratch() as place, scratch() as folder:
        make_sources(Path(place))
        outcome = try_case(options.only, Path(place), Path(folder))
        print(f"{outcome.what}\nexit status {outcome.status}, {outcome.seconds:.1f} s\n{outcome.text}")
        print(outcome.failure or "as it should be")


if __name__ == "__main__":
    main()
