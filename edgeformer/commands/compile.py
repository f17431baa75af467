"""`edgeformer compile`: a model and its adapters into one verified bundle."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edgeformer_runtime.terminal import say

from ..torch_build import require_torch
from .base import Progress, add_command, names


def add(commands: Any) -> None:
    """Add the command to the command line."""
    command = add_command(commands, "compile", "compile a model into a verified bundle", run)
    option = command.add_argument
    option(
        "model",
        metavar="MODEL",
        help="Hugging Face directory: config.json, model.safetensors, tokenizer.json or preprocessor_config.json",
    )
    option("-o", "--output", required=True, metavar="BUNDLE", help="where the bundle goes")
    option(
        "--adapter",
        action="append",
        default=[],
        metavar="DIR[=WEIGHT]",
        help="peft adapter to merge; repeatable",
    )
    option(
        "--recipe",
        default="balanced",
        metavar="NAME|FILE",
        help="float32, int8, balanced, small, auto, tiny, or a TOML file",
    )
    option("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
        help="change the recipe, e.g. quantize.feed_forward=int8")  # fmt: skip
    option("--device", action="append", default=[], metavar="NAME", help="see 'edgeformer devices'; repeatable")
    option(
        "--format", action="append", default=[], metavar="onnx|tensorrt|tflite|coreml|tflite-fp16", help="repeatable"
    )
    option("--for", dest="platform", metavar="android|ios|web", help="a bundle for apps there: what they run, no more")
    option("--sequence-lengths", type=_lengths, default=(), metavar="64,128", help="static lengths in tokens")
    option(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="rows that choices are made on, none of the evaluation's: CSV, JSONL, or a folder of files per label",
    )
    option("--training", type=Path, metavar="FILE", help="rows that recovery learns from; by default the calibration's")
    option("--evaluation", type=Path, metavar="FILE", help="labelled CSV or JSONL rows to judge the result on")
    option("--max-drop", type=float, metavar="0.01", help="largest fall of the metric that may be published")
    option("--max-size", metavar="12MB", help="largest size of a variant that is published, with --for of the bundle")
    option("--max-latency", metavar="20ms", help="largest latency on this machine, one row at the longest length")
    option("--task", metavar="NAME", help="text-classification, token-classification, question-answering, "
        "feature-extraction, image-classification, image-feature-extraction, zero-shot-image-classification, "
        "image-text-similarity, audio-classification; by default what the "
        "model or adapter says")  # fmt: skip
    option("--labels", type=names, default=(), metavar="A,B,…", help="names of the outputs, in order")
    option("--hypothesis-template", metavar="TEXT", help="what a zero-shot label reads as, e.g. 'a photo of a {}.'")
    option("--pair", action="store_true", help="the task takes two texts (found out from the rows' files where given)")
    option("--dimensions", type=int, metavar="N", help="keep the first N numbers of an embedding (Matryoshka models)")
    option("--allow-pickle", action="store_true", help="read pickled weights, with weights_only")
    option("--threads", type=int, metavar="N", help="threads of the engines during verification")
    option("--no-resume", action="store_true", help="do every stage again")


def _lengths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(item) for item in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers like 64,128") from error


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    from edgeformer_runtime.bundle.writer import check_output

    check_output(options.output)  # before torch is imported: a wrong path is answered at once
    require_torch()
    from ..compiler import InputOptions, compile
    from ..recipe import Recipe
    from ..terminal.quantities import parse_bytes, parse_milliseconds
    from ..terminal.table import bundle_json, bundle_table

    recipe = Recipe.load(options.recipe)
    for setting in options.settings:
        recipe = recipe.with_setting(setting)
    bundle = compile(
        options.model,
        output=options.output,
        adapters=options.adapter,
        recipe=recipe,
        devices=options.device,
        formats=options.format,
        sequence_lengths=options.sequence_lengths,
        calibration=options.calibration,
        training=options.training,
        evaluation=options.evaluation,
        max_drop=options.max_drop,
        max_size_bytes=parse_bytes(options.max_size) if options.max_size else None,
        max_latency_ms=parse_milliseconds(options.max_latency) if options.max_latency else None,
        platform=options.platform,
        options=InputOptions(
            task=options.task,
            labels=options.labels,
            pair=options.pair,
            dimensions=options.dimensions,
            hypothesis_template=options.hypothesis_template,
            allow_pickle=options.allow_pickle,
        ),
        threads=options.threads,
        resume=not options.no_resume,
        progress=Progress(),
    )
    say(json.dumps(bundle_json(bundle)) if options.json else bundle_table(bundle))
