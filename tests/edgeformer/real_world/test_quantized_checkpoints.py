"""Files of weights that somebody quantized already, and floats of other sizes."""

import re

import kit
import pytest
import torch

from edgeformer.errors import ModelError
from edgeformer.loading.load import load_model

QUANTIZED = [
    pytest.param(
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        "bitsandbytes, 4 bits",
        marks=pytest.mark.complaint(
            "huggingface/optimum#1914",
            "exporting a model saved in 4 bits by bitsandbytes ends deep in the tracer",
            "refused in one sentence: the method, and that the trained model is to be given",
        ),
    ),
    pytest.param(
        {"load_in_8bit": True},
        "bitsandbytes, 8 bits",
        marks=pytest.mark.complaint(
            "bitsandbytes-foundation/bitsandbytes#768",
            "exporting an 8-bit model: 'str' has no attribute detach, then _Map_base::at",
            "refused by the method's name",
        ),
    ),
    pytest.param(
        {"quant_method": "gptq", "bits": 4, "group_size": 128},
        "GPTQ, 4 bits",
        marks=pytest.mark.complaint(
            "wangzhaode/llm-export#72",
            "exporting a GPTQ model: .float() is not supported for quantized model",
            "refused by the method's name",
        ),
    ),
    pytest.param(
        {"quant_method": "awq", "bits": 4},
        "AWQ, 4 bits",
        marks=pytest.mark.complaint(
            "huggingface/optimum#1953",
            "an AWQ model of 7 GB becomes an ONNX file of 34 GB",
            "refused by the method's name",
        ),
    ),
    pytest.param(
        {"quant_method": "compressed-tensors", "format": "float-quantized"},
        "compressed-tensors",
        marks=pytest.mark.complaint(
            "ml-explore/mlx-lm#1865",
            "a float8 checkpoint of compressed-tensors is read as 4-bit integers, in silence",
            "refused by the method's name",
        ),
    ),
]


@pytest.mark.parametrize(("settings", "named"), QUANTIZED)
def test_quantized_checkpoints_are_refused_by_the_methods_name(copy, tmp_path, capsys, settings, named):
    kit.reconfigure(copy, quantization_config=settings)
    result = kit.compile_model(capsys, copy, tmp_path / "bundle")
    assert result.status == 2
    assert f"quantized already, by {named} (quantization_config in config.json)" in result.err
    assert "give the model that this was made from" in result.err


@pytest.mark.complaint(
    "huggingface/transformers#47145",
    "float8 weights load without their scales: every layer is wrong by 1/scale, and nothing says so",
    "weights of a quantizer's types are refused, whatever config.json says",
)
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8, torch.uint8])
def test_weights_of_a_quantizers_type(copy, dtype):
    name = "bert.encoder.layer.0.attention.self.query.weight"
    kit.rewrite(copy, lambda t: {**t, name: (t[name] * 10).to(dtype)})
    with pytest.raises(ModelError, match=rf"holds {re.escape(name)} \(\w+\), so the weights are quantized already"):
        load_model(copy)


@pytest.mark.parametrize("suffix", ["qweight", "SCB", "weight_packed", "weight.absmax", "weight_scale"])
def test_tensors_by_a_quantizers_names(copy, suffix):
    kit.rewrite(copy, lambda t: {**t, f"bert.encoder.layer.0.attention.self.query.{suffix}": torch.ones(2)})
    with pytest.raises(ModelError, match=rf"query.{suffix} \(F32\), so the weights are quantized already"):
        load_model(copy)


@pytest.mark.parametrize(
    "dtypes",
    [
        pytest.param((torch.bfloat16,), id="bfloat16"),
        pytest.param((torch.float16, torch.float32, torch.bfloat16), id="mixed"),
        pytest.param((torch.float64,), id="float64"),
    ],
)
def test_floating_types_are_read_as_float32(copy, dtypes):
    stored = {}

    def change(tensors):
        for index, (name, tensor) in enumerate(tensors.items()):
            stored[name] = tensor.to(dtypes[index % len(dtypes)])
        return stored

    kit.rewrite(copy, change)
    module = load_model(copy).module
    for name, tensor in module.state_dict().items():
        if name in stored:
            assert torch.equal(tensor, stored[name].to(torch.float32)), name
