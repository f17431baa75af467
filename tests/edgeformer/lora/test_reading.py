"""Reading an adapter directory: what is accepted, and what is refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from edgeformer.errors import AdapterError, InputError
from edgeformer.lora import Adapter, LoraConfig, read_adapter

Write = Callable[..., Path]
LAYER = "base_model.model.encoder.query"
CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "r": 2,
    "lora_alpha": 4,
    "target_modules": ["query"],
    "base_model_name_or_path": "some/base",
    "auto_mapping": {"base_model_class": "X", "parent_library": "transformers.models.bert.modeling_bert"},
    "bias": "none",
    "modules_to_save": None,
    "use_dora": False,
    "lora_bias": False,
    "layer_replication": None,
}


def factors() -> dict[str, torch.Tensor]:
    return {f"{LAYER}.lora_A.weight": torch.ones(2, 8), f"{LAYER}.lora_B.weight": torch.ones(6, 2)}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an adapter, the config changed by keywords and tensors added to the two of the plain one."""

    def _write(extra: dict[str, torch.Tensor] | None = None, **changes: Any) -> Path:
        path = tmp_path / "adapter"
        path.mkdir(exist_ok=True)
        (path / "adapter_config.json").write_text(json.dumps(CONFIG | changes))
        save_file(factors() | (extra or {}), path / "adapter_model.safetensors")
        return path

    return _write


def test_plain_adapter(write: Write) -> None:
    adapter = read_adapter(write(), weight=0.5)
    assert (adapter.name, adapter.weight, adapter.saved, adapter.notes) == ("adapter", 0.5, {}, ())
    update = adapter.updates["encoder.query"]
    assert (update.rank, update.scale, update.embedding, update.magnitude) == (2, 2.0, False, None)
    assert adapter.config.base_model_name == "some/base"
    assert adapter.config.base_model_module == "transformers.models.bert.modeling_bert"


def test_saved_tensors_and_untrained_copies(write: Write) -> None:
    head = {
        "base_model.model.classifier.weight": torch.ones(3, 8),
        "base_model.model.classifier.bias": torch.ones(3),
        "base_model.model.classifier.modules_to_save.bias": torch.ones(3),
        "base_model.model.classifier.original_module.bias": torch.zeros(3),
        f"{LAYER}.base_layer.bias": torch.ones(6),
        "base_model.model.norm.bias": torch.ones(8),
    }
    adapter = read_adapter(write(head, modules_to_save=["classifier"], bias="all"))
    kinds = {name: saved.kind for name, saved in adapter.saved.items()}
    assert kinds == {
        "classifier.weight": "module",
        "classifier.bias": "module",
        "encoder.query.bias": "bias",
        "norm.bias": "bias",
    }
    assert "classifier.original_module.bias" in adapter.notes[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
        ({"peft_type": "PREFIX_TUNING"}, "PREFIX_TUNING"),
        ({"lora_bias": True}, "has no bias of lora_B"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"megatron_config": {"a": 1}}, "megatron_config"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
        ({"use_qalora": True}, "use_qalora"),
        ({"target_parameters": ["w"]}, "target_parameters"),
        ({"trainable_token_indices": [3]}, "holds no trained rows of an embedding"),
        ({"ensure_weight_tying": True}, "ensure_weight_tying"),
        ({"kasa_config": {"beta": 1}}, "kasa_config"),
        ({"from_the_future": 7}, "from_the_future=7 is not supported"),
        ({"init_lora_weights": "pissa_niter_4"}, "changed the base weights"),
        ({"init_lora_weights": "olora"}, "changed the base weights"),
        ({"r": 0}, "rank of 'r' is 0"),
        ({"r": "8"}, "r is '8': expected int"),
        ({"r": None}, "r is None"),
        ({"lora_alpha": "x"}, "lora_alpha is 'x': expected a number"),
        ({"lora_alpha": math.inf}, "expected a finite number"),
        ({"use_rslora": "yes"}, "use_rslora is 'yes'"),
        ({"bias": "some"}, "bias is 'some': expected one of"),
        ({"target_modules": [1]}, "target_modules is 1: expected str"),
        ({"target_modules": "(unclosed"}, "not a valid regular expression"),
        ({"rank_pattern": {"query": "a"}}, r"rank_pattern\[query\] is 'a'"),
        ({"rank_pattern": []}, "rank_pattern is"),
        ({"rank_pattern": {"query": 4}}, r"gives it rank 4: expected lora_A \[4, …\]"),
        ({"use_dora": True}, "has no lora_magnitude_vector"),
    ],
)
def test_unsupported_or_malformed_config(write: Write, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AdapterError, match=message):
        read_adapter(write(**changes))


@pytest.mark.parametrize(
    ("extra", "changes", "message"),
    [
        ({f"{LAYER}.lora_C.weight": torch.ones(1)}, {}, "lora_C.weight' is unknown"),
        ({"base_model.model.norm.bias": torch.ones(8)}, {}, "norm.bias' is unknown"),
        ({"base_model.model.norm.bias": torch.ones(8)}, {"bias": "lora_only"}, "of LoRA layers alone"),
        ({"prompt_embeddings": torch.ones(8)}, {}, "expected a name that begins with"),
        ({f"{LAYER}.lora_magnitude_vector": torch.ones(6)}, {}, "says use_dora=false"),
        ({"base_model.model.other.lora_A.weight": torch.ones(2, 8)}, {}, "'other' has no lora_B"),
        ({f"{LAYER}.lora_A.weight": torch.full((2, 8), math.nan)}, {}, "NaN or infinity"),
        ({f"{LAYER}.lora_B.weight": torch.full((6, 2), math.inf)}, {}, "NaN or infinity"),
        ({f"{LAYER}.lora_B.weight": torch.ones(6, 3)}, {}, r"got \[2, 8\] and \[6, 3\]"),
        ({f"{LAYER}.lora_B.weight": torch.ones(12)}, {}, r"got \[2, 8\] and \[12\]"),
        ({f"{LAYER}.lora_B.weight": torch.ones(6, 2, dtype=torch.int32)}, {}, "must be floating point"),
        (
            {
                "base_model.model.head.bias": torch.ones(3),
                "base_model.model.head.modules_to_save.bias": torch.zeros(3),
            },
            {"modules_to_save": ["head"]},
            "there twice, with different values",
        ),
    ],
)
def test_tensors_that_are_refused(
    write: Write, extra: dict[str, torch.Tensor], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(AdapterError, match=message):
        read_adapter(write(extra, **changes))


def test_no_lora_at_all(write: Write) -> None:
    path = write()
    save_file({"base_model.model.head.weight": torch.ones(2)}, path / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match="no lora_A and lora_B"):
        read_adapter(path)


@pytest.mark.parametrize("weight", [0.0, math.nan, math.inf])
def test_weight_must_be_finite_and_not_zero(write: Write, weight: float) -> None:
    with pytest.raises(AdapterError, match="expected a finite number other than 0"):
        read_adapter(write(), weight=weight)


@pytest.mark.parametrize("changes", [{"bias": "all"}, {"use_dora": True}])
def test_what_is_no_sum_has_no_weight(write: Write, changes: dict[str, Any]) -> None:
    extra = {f"{LAYER}.lora_magnitude_vector": torch.ones(6)} if "use_dora" in changes else None
    path = write(extra, **changes)
    assert isinstance(read_adapter(path), Adapter)
    with pytest.raises(AdapterError, match="use weight 1"):
        read_adapter(path, weight=2)


# --- files ---


def test_missing_files(tmp_path: Path, write: Write) -> None:
    with pytest.raises(AdapterError, match="not a directory"):
        read_adapter(tmp_path / "nowhere")
    (tmp_path / "outer").mkdir()
    with pytest.raises(AdapterError, match=r"holds no adapter_config\.json: save it"):
        read_adapter(tmp_path / "outer")
    path = write()
    with pytest.raises(InputError, match=r"did you mean .*adapter"):
        read_adapter(tmp_path)
    (path / "adapter_model.safetensors").unlink()
    with pytest.raises(AdapterError, match=r"holds no adapter_model.safetensors"):
        read_adapter(path)


@pytest.mark.parametrize("text", ["{", "", "\xff", "[1]", '"LORA"'])
def test_malformed_json(write: Write, text: str) -> None:
    path = write()
    (path / "adapter_config.json").write_text(text, encoding="latin-1")
    with pytest.raises(AdapterError, match=r"adapter_config\.json"):
        read_adapter(path)


@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_truncated_safetensors(write: Write, keep: int) -> None:
    path = write()
    file = path / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(AdapterError, match="damaged or truncated"):
        read_adapter(path)


def test_pickle_needs_permission(write: Write) -> None:
    path = write()
    (path / "adapter_model.safetensors").unlink()
    torch.save(factors(), path / "adapter_model.bin")
    with pytest.raises(AdapterError, match="a pickle can run code"):
        read_adapter(path)
    assert set(read_adapter(path, allow_pickle=True).updates) == {"encoder.query"}


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("executed",)


@pytest.mark.parametrize("content", [_Evil(), [1, 2], {"a": "text"}])
def test_pickle_of_anything_else_is_refused(write: Write, content: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = write()
    (path / "adapter_model.safetensors").unlink()
    torch.save(content, path / "adapter_model.bin")
    with pytest.raises(AdapterError, match=r"adapter_model\.bin"):
        read_adapter(path, allow_pickle=True)
    assert "executed" not in capsys.readouterr().out


# --- LoraConfig ---


@pytest.mark.parametrize(
    ("names", "parameter", "saved"),
    [
        (("classifier",), "classifier.weight", True),
        (("classifier",), "pre_classifier.bias", True),  # the end of the text, as peft compares
        (("classifier",), "classifier.dense.weight", True),
        (("classifier",), "bert.classifiers.weight", False),
        (("pooler.dense",), "bert.pooler.dense.weight", True),
        (("weight",), "classifier.weight", False),  # a module's name is meant, not a parameter's
        ((), "classifier.weight", False),
    ],
)
def test_modules_to_save(names: tuple[str, ...], parameter: str, saved: bool) -> None:
    assert LoraConfig(8, 8, modules_to_save=names).saves(parameter) is saved


def test_scale_and_patterns() -> None:
    config = LoraConfig(8, 16, rank_pattern={"query": 4, "h.0.key": 2}, alpha_pattern={r"h\.\d.key": 3})
    assert (config.rank("a.query"), config.rank("a.h.0.key"), config.rank("a.xh.0.key")) == (4, 2, 8)
    assert (config.scale("a.query"), config.scale("a.h.0.key"), config.scale("b")) == (4, 1.5, 2)
    assert LoraConfig(16, 8, use_rslora=True).scale("x") == 2


@pytest.mark.parametrize(
    ("settings", "path", "expected"),
    [
        ({"target_modules": ("query",)}, "layer.0.query", True),
        ({"target_modules": ("query",)}, "layer.0.subquery", False),
        ({"target_modules": r".*\.(query|value)"}, "layer.0.value", True),
        ({"target_modules": "query"}, "layer.0.query", False),  # a string is a regex for the whole path
        ({"target_modules": ("query",), "exclude_modules": ("0.query",)}, "layer.0.query", False),
        ({"target_modules": ("query",), "exclude_modules": r"layer\.1.*"}, "layer.1.query", False),
        ({"target_modules": ("dense",), "modules_to_save": ("head",)}, "head.dense", False),
        ({"target_modules": ("query",), "layers_to_transform": (1,)}, "a.layer.1.query", True),
        ({"target_modules": ("query",), "layers_to_transform": (1,)}, "a.layer.2.query", False),
        ({"target_modules": ("query",), "layers_to_transform": (1,)}, "query", False),
        (
            {"target_modules": ("q",), "layers_to_transform": (1,), "layers_pattern": ("blocks",)},
            "m.layer.1.q",
            False,
        ),
        (
            {"target_modules": ("q",), "layers_to_transform": (1,), "layers_pattern": ("blocks",)},
            "blocks.1.q",
            True,
        ),
        ({"target_modules": None}, "layer.0.query", False),
    ],
)
def test_targets(settings: dict[str, Any], path: str, expected: bool) -> None:
    assert LoraConfig(8, 8, **settings).targets(path) is expected
