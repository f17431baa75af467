"""Adapters as people saved them before transformers 5 renamed the layers of models of images."""

import copy
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parents[2]))
import tiny_images

from edgeformer.errors import AdapterError
from edgeformer.lora import merge_adapters, read_adapter
from edgeformer.lora.present_names import with_present_names

peft = pytest.importorskip("peft")

pytestmark = pytest.mark.filterwarnings("ignore")

QUERY_VALUE = {r"attention\.q_proj": "attention.attention.query", r"attention\.v_proj": "attention.attention.value"}
DENSE = {r"attention\.o_proj": "attention.output.dense", r"mlp\.fc1": "intermediate.dense", r"mlp\.fc2": "output.dense"}
IN_ENCODER = {r"\.layers\.": ".encoder.layer."}
# what each family's layers were called in transformers 4, by patterns on their present names
OLD_NAMES = {
    "vit": {**IN_ENCODER, **QUERY_VALUE, **DENSE},
    "deit": {**IN_ENCODER, **QUERY_VALUE, **DENSE},
    "beit": {**IN_ENCODER, **QUERY_VALUE, **DENSE},
    "dinov2": {**QUERY_VALUE, r"attention\.o_proj": "attention.output.dense"},
    "swin": {r"attention\.q_proj": "attention.self.query", r"attention\.v_proj": "attention.self.value", **DENSE},
}
OLD_TARGETS = {"q_proj": "query", "v_proj": "value", "o_proj": "dense", "fc1": "dense", "fc2": "dense"}


def old(name, text):
    for pattern, before in OLD_NAMES[name].items():
        text = re.sub(pattern, before, text)
    return text


def save_old(name, path, targets, asked=None):
    """An adapter in the names of transformers 4; returns the base and the model that peft merges."""
    base = tiny_images.tiny(name)
    torch.manual_seed(1)
    config = peft.LoraConfig(r=4, target_modules=targets, modules_to_save=["classifier"])
    tuned = peft.get_peft_model(copy.deepcopy(base), config)
    for parameter in tuned.parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn(parameter.shape)
    tuned.eval().save_pretrained(path)
    tensors = load_file(path / "adapter_model.safetensors")
    save_file({old(name, key): value for key, value in tensors.items()}, path / "adapter_model.safetensors")
    written = json.loads((path / "adapter_config.json").read_text())
    written["target_modules"] = asked or sorted({OLD_TARGETS[target] for target in targets})
    (path / "adapter_config.json").write_text(json.dumps(written))
    return base, tuned.merge_and_unload()


def outputs(module, name):
    with torch.no_grad():
        return tiny_images.output(module(tiny_images.pixels(name)))


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], ["q_proj", "o_proj", "fc1", "fc2"]], ids=["usual", "dense"])
@pytest.mark.parametrize("name", OLD_NAMES)
def test_old_names_mean_the_same_layers(name, targets, tmp_path):
    if name == "dinov2":
        targets = [target for target in targets if not target.startswith("fc")]
    base, theirs = save_old(name, tmp_path, targets)
    adapter = read_adapter(tmp_path)
    assert any("query" in path for path in adapter.updates)
    merged = merge_adapters(base, [adapter])
    torch.testing.assert_close(outputs(merged.module, name), outputs(theirs, name), rtol=1e-5, atol=5e-5)
    assert any("its layers have the names of an older transformers" in note for note in merged.notes)


def test_a_pattern_of_old_names(tmp_path):
    base, theirs = save_old("vit", tmp_path, ["q_proj", "v_proj"], asked=r".*\.attention\.attention\.(query|value)")
    merged = merge_adapters(base, [read_adapter(tmp_path)])
    torch.testing.assert_close(outputs(merged.module, "vit"), outputs(theirs, "vit"), rtol=1e-5, atol=5e-5)


def test_a_layer_that_is_missing_is_still_found(tmp_path):
    base, _ = save_old("vit", tmp_path, ["q_proj", "v_proj"])
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    kept = {key: value for key, value in tensors.items() if "layer.1.attention.attention.value" not in key}
    assert len(kept) == len(tensors) - 2
    save_file(kept, tmp_path / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match=r"vit\.layers\.1\.attention\.v_proj"):
        merge_adapters(base, [read_adapter(tmp_path)])


def test_present_and_unknown_names_stay(tmp_path):
    base, _ = save_old("vit", tmp_path, ["q_proj", "v_proj"])
    adapter = read_adapter(tmp_path)
    renamed = with_present_names(base, adapter)
    assert with_present_names(base, renamed) is renamed
    other = tiny_images.tiny("clip-image")
    assert with_present_names(other, adapter) is adapter
    assert with_present_names(torch.nn.Linear(2, 2), adapter) is adapter
