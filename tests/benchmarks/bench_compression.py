"""What pruning, profiles, allocation, GPTQ and a trimmed vocabulary give: MiniLM fine-tuned on Rotten Tomatoes."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import export_float32, ort_session
from scipy.stats import spearmanr
from timing import interleaved, ratios

sys.path.insert(0, str(Path(__file__).parents[1]))
from baseline_plans import bits_only, random_plan

import edgeformer as ef
from edgeformer.allocation.joint import allocate_jointly
from edgeformer.allocation.knapsack import Plan
from edgeformer.allocation.units import layer_units
from edgeformer.data.splits import Data, read_data
from edgeformer.evaluation.paired import mcnemar, wilson_interval
from edgeformer.passes.allocate import Allocate
from edgeformer.passes.base import Pass, PassContext, run_passes
from edgeformer.passes.quantize import Quantize
from edgeformer.sensitivity.candidates import Candidates
from edgeformer.sensitivity.measure import PlanEvaluator, ProfileSettings, profile, profile_batches
from edgeformer.stages import Stages, default_cache
from edgeformer.tasks import get_task
from edgeformer.variants.verification import measure, run_torch
from edgeformer_runtime import Session

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "02_reviews_within_a_budget"
WORK = ROOT / "build" / "bench" / "reviews"
LENGTH, THREADS = 64, 2
FORMATS = ("int8", "int4", "int4-block32")


def main() -> None:
    """Print every table."""
    WORK.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(THREADS)
    demo = _example()
    splits = demo.write_splits(demo.WORK / "data")
    directory = demo.train_once(splits["train"])
    model = ef.load_model(directory)
    recipe = ef.Recipe(export=ef.ExportSettings(sequence_lengths=(LENGTH,)))
    data = read_data(
        model, max(recipe.export.sequence_lengths), splits["calibration"], splits["evaluation"], splits["train"]
    )
    judge = Judge(model, data)
    print(f"\nMiniLM on Rotten Tomatoes, {len(data.evaluation)} held-out sentences: {judge.line(model)}")
    print_profile(model, data)
    print_linear_cost(model)
    print_integers(model, data, judge)
    print_allocation(model, data, judge)
    print_bundles(directory, splits, model)


def _example() -> Any:
    """The second example's demo module, with its neighbours importable."""
    for name in ("demo", "data"):
        sys.modules.pop(name, None)  # the first example has modules of these names
    sys.path.insert(0, str(EXAMPLE))
    specification = importlib.util.spec_from_file_location("demo_reviews", EXAMPLE / "demo.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Judge:
    """Accuracy, agreement and KL on the evaluation rows, in torch."""

    def __init__(self, model: ef.Model, data: Data) -> None:
        self.model, self.rows = model, data.evaluation
        encoded = self.rows.encoded(model)
        self.before = run_torch(model, encoded.feeds)
        self.scores = measure(model.task, self.before, encoded).per_sample

    def figures(self, model: ef.Model) -> dict[str, float]:
        encoded = self.rows.encoded(model)
        outputs = run_torch(model, encoded.feeds)
        scores = measure(model.task, outputs, encoded).per_sample
        p = [torch.from_numpy(row["logits"]).double().log_softmax(-1) for row in self.before]
        q = [torch.from_numpy(row["logits"]).double().log_softmax(-1) for row in outputs]
        return {
            "accuracy": float(np.mean(scores)),
            "agreement": get_task(model.task).agreement(outputs, self.before),
            "kl": float(np.mean([float((a.exp() * (a - b)).sum()) for a, b in zip(p, q, strict=True)])),
            "p": mcnemar(self.scores, scores).p_value,
        }

    def line(self, model: ef.Model) -> str:
        found = self.figures(model)
        low, high = wilson_interval(round(found["accuracy"] * len(self.rows)), len(self.rows))
        return (
            f"accuracy {found['accuracy'] * 100:.1f} % ({low * 100:.1f} to {high * 100:.1f}), agreement "
            f"{found['agreement'] * 100:.1f} %, KL {found['kl']:.5f}, McNemar p {found['p']:.2f}"
        )


def _context(data: Data, threads: int = THREADS) -> PassContext:
    return PassContext(data=data, stages=Stages(default_cache()), threads=threads)


def _run(model: ef.Model, data: Data, *steps: Pass) -> tuple[ef.Model, tuple]:
    result = run_passes(model, steps, _context(data))
    return result.model, result.records


# ---- sensitivity -----------------------------------------------------------------------------------------------------


def print_profile(model: ef.Model, data: Data) -> None:
    """Seconds of a profile, and how well it predicts random plans on rows of its own and on others."""
    rows = data.calibration.encoded(model)
    start = time.monotonic()
    found = profile(model, rows, ProfileSettings(FORMATS))
    print(f"\nsensitivity profile, {len(FORMATS)} formats, {len(rows.feeds)} rows: {time.monotonic() - start:.0f} s")
    units = layer_units(found, FORMATS, keep_roles=("head",))
    plans = [random_plan(units, seed) for seed in range(30)]
    names = [unit.name for unit in units]
    for label, judged in (("its own rows", rows), ("the evaluation rows", data.evaluation.encoded(model))):
        batches = profile_batches(model, judged)
        evaluator = PlanEvaluator(Candidates(model, names, found.algorithm, batches), batches)
        true = [evaluator.damage(plan.formats) for plan in plans]
        joint = spearmanr([found.predicted_damage(plan.formats) for plan in plans], true).statistic
        summed = spearmanr([found.summed_damage(plan.formats) for plan in plans], true).statistic
        print(f"Spearman over 30 random plans, true damage on {label}: {joint:.2f} (sums alone {summed:.2f})")


def print_linear_cost(base: ef.Model) -> None:
    """Seconds of a profile of stacks that differ in depth alone."""
    from transformers import BertConfig, BertForSequenceClassification

    from edgeformer.data.synthetic import synthetic

    print("\nlayers  profile (CPU s)  per layer (s)")
    for layers in (6, 12, 24):
        torch.manual_seed(layers)
        config = BertConfig(
            vocab_size=1000, hidden_size=256, num_hidden_layers=layers, num_attention_heads=4, intermediate_size=1024
        )
        model = dataclasses.replace(base, module=BertForSequenceClassification(config).eval(), tokenizer=None)
        rows = synthetic(model.signature, LENGTH)
        start = time.process_time()
        profile(model, rows, ProfileSettings(("int8", "int4")))
        seconds = time.process_time() - start
        print(f"{layers:6}  {seconds:15.1f}  {seconds / layers:.2f}")


# ---- integers --------------------------------------------------------------------------------------------------------


def print_integers(model: ef.Model, data: Data, judge: Judge) -> None:
    """Algorithms at equal bytes."""
    print("\nevery linear but the head at 4 bits, embeddings at 8, equal bytes")
    for format in ("int4", "int4-block32"):
        for algorithm in ("rtn", "mse", "gptq"):
            step = Quantize(algorithm=algorithm, attention=format, feed_forward=format, pooler=format)
            print(f"  {format:13} {algorithm:5} {judge.line(_run(model, data, step)[0])}")


def print_allocation(model: ef.Model, data: Data, judge: Judge) -> None:
    """The allocated mix against a rule by role, bits alone and chance, at the same bytes."""
    context = _context(data)
    step = Allocate(formats=("int8", "int4"), algorithm="gptq")
    found = step.profile(model, context)
    units = layer_units(found, step.formats, keep_roles=step.keep)
    largest = sum(max(option.size_bytes for option in unit.options) for unit in units)
    smallest = sum(min(option.size_bytes for option in unit.options) for unit in units)
    rule = Plan(tuple((u.name, _by_role(u, found)) for u in units))
    print("\nallocation with GPTQ integers, MB of integers and scales")
    for label, budget in (
        ("the rule's bytes", rule.size_bytes),
        ("a third of the way", smallest + (largest - smallest) // 3),
        ("a sixth of the way", smallest + (largest - smallest) // 6),
    ):
        plans = {"allocated": allocate_jointly(units, found, budget), "bits only": bits_only(units, budget)}
        plans |= {f"random {seed}": random_plan(units, seed, budget) for seed in range(3)}
        if budget == rule.size_bytes:
            plans["attention int8, feed-forward int4"] = rule
        print(f"  {label}: at most {budget / 1e6:.2f} MB")
        for name, plan in plans.items():
            made = _run(model, data, step.quantize_step(plan.formats))[0]
            print(f"    {name:34} {plan.size_bytes / 1e6:6.2f} MB  {judge.line(made)}")


def _by_role(unit: Any, found: Any) -> Any:
    wanted = "int4" if found.layer(unit.name).role == "feed_forward" else "int8"
    return next(option for option in unit.options if option.format == wanted)


# ---- bundles ---------------------------------------------------------------------------------------------------------

BUNDLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "int8": ("int8", ()),
    "small": ("small", ()),
    "small, GPTQ": ("small", ("quantize.algorithm=gptq",)),
    "pruned, int8": ("tiny", ("quantize.embedding=int8", "quantize.feed_forward=int8")),
    "tiny": ("tiny", ()),
}


def print_bundles(directory: Path, splits: dict[str, Path], model: ef.Model) -> None:
    """Sizes, latencies against ONNX Runtime fp32, and accuracy of exported variants on the evaluation rows."""
    fp32 = export_float32(model, WORK / "fp32.onnx")
    session = ort_session(fp32)
    runs: dict[str, Callable] = {"ONNX Runtime fp32": lambda feeds: session.run(None, feeds)}
    sizes = {"ONNX Runtime fp32": fp32.stat().st_size}
    lines: dict[str, str] = {}
    for name, (preset, settings) in BUNDLES.items():
        bundle, seconds = _compile(name, preset, settings, directory, splits)
        report = json.loads((bundle.path / "report.json").read_text(encoding="utf-8"))
        for variant in report["variants"]:
            key = f"{name}, {variant['format']}"
            sizes[key], found = variant["size_bytes"], variant["verification"]
            lines[key] = f"{found['metric'] * 100:.1f} % | {found['agreement'] * 100:.1f} %"
            if found["on_device"]:
                opened = Session.open(bundle.path, variant=variant["name"], threads=THREADS)
                runs[key] = opened.run
        recovered = [item for item in report["passes"] if item["name"] == "recover"]
        print(f"  {name}: compiled in {seconds:.0f} s" + "".join(f", recovery {r['seconds']:.0f} s" for r in recovered))
    ids = np.full((1, LENGTH), 5, np.int64)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    rounds = interleaved({name: lambda run=run: run(feeds) and None for name, run in runs.items()})
    factor = ratios(rounds, "ONNX Runtime fp32")
    print("\n| variant | MB | smaller by | ms | faster by | accuracy | agreement |\n|---|---|---|---|---|---|---|")
    for name, size in sizes.items():
        timed = (
            f"{statistics.median(rounds[name]):.2f} | {1 / factor[name]:.2f}x" if name in runs else "not run here | -"
        )
        print(
            f"| {name} | {size / 1e6:.1f} | {sizes['ONNX Runtime fp32'] / size:.2f}x | {timed} | "
            f"{lines.get(name, '- | -')} |"
        )
    for run in runs.values():
        if isinstance(getattr(run, "__self__", None), Session):
            run.__self__.close()
    print_pruned_pair()


def print_pruned_pair() -> None:
    """Pruned against unpruned, both int8, nothing else open: other sessions' threads and weights change small ones."""
    ids = np.full((1, LENGTH), 5, np.int64)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    for format in ("onnx", "tflite"):
        for threads in (1, 2):
            pair = {
                name: Session.open(WORK / name, variant=format, threads=threads) for name in ("int8", "pruned-int8")
            }
            rounds = interleaved({name: lambda s=s: s.run(feeds) and None for name, s in pair.items()}, 50, 25, 20)
            speed = statistics.median(a / b for a, b in zip(rounds["int8"], rounds["pruned-int8"], strict=True))
            print(f"pruned against unpruned, both int8 {format}, {threads} threads: {speed:.2f}x faster")
            for session in pair.values():
                session.close()


def _compile(name: str, preset: str, settings: tuple[str, ...], directory: Path, splits: dict[str, Path]) -> Any:
    recipe = ef.Recipe.preset(preset)
    for setting in settings:
        recipe = recipe.with_setting(setting)
    start = time.monotonic()
    bundle = ef.compile(
        directory,
        output=WORK / name.replace(", ", "-").replace(" ", "-"),
        recipe=recipe,
        formats=["onnx", "tflite"],
        sequence_lengths=[LENGTH],
        calibration=splits["calibration"],
        training=splits["train"],
        evaluation=splits["evaluation"],
        threads=THREADS,
        progress=lambda line: print(f"  {name}: {line}", file=sys.stderr),
    )
    return bundle, time.monotonic() - start


if __name__ == "__main__":
    main()
