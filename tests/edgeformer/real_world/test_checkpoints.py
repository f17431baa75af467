"""Files of weights as people have them: with wrappers' prefixes, quantized, pointers, shards, other frameworks'."""

import json
import shutil
import subprocess

import kit
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edgeformer.errors import MissingWeightsError, ModelError
from edgeformer.loading.load import load_model
from edgeformer.loading.weights_check import refuse_untrained


def same_logits(directory, original):
    """Whether the loaded model computes what the original does, in float32."""
    feeds = {"input_ids": torch.arange(5, 25).reshape(2, 10)}
    feeds["attention_mask"] = torch.ones_like(feeds["input_ids"])
    with torch.inference_mode():
        found, right = (load_model(d).module(**feeds).logits for d in (directory, original))
    return torch.equal(found, right)


PREFIXES = [
    pytest.param(
        lambda name: f"module.{name}",
        "'module.' taken off",
        id="DataParallel",
        marks=pytest.mark.complaint(
            "FareedKhan-dev/train-llm-from-scratch#37",
            "weights saved from a wrapped model have prefixed keys, so none of them matches",
            "the prefix is taken off, and said",
        ),
    ),
    pytest.param(
        lambda name: f"_orig_mod.{name}",
        "'_orig_mod.' taken off",
        id="torch.compile",
        marks=pytest.mark.complaint(
            "pytorch/pytorch#101107",
            "a compiled model's state dict begins with _orig_mod. and loads nowhere else",
            "the prefix is taken off, and said",
        ),
    ),
    pytest.param(
        lambda name: f"model._orig_mod.{name}",
        "'_orig_mod.' taken off and 'model.' taken off",
        id="compiled inside Lightning",
        marks=pytest.mark.complaint(
            "Lightning-AI/pytorch-lightning#20233",
            "a module compiled inside a LightningModule is saved under model._orig_mod.",
            "both prefixes are taken off, and said",
        ),
    ),
    pytest.param(
        lambda name: f"_orig_mod.module.{name}",
        "'_orig_mod.', 'module.' taken off",
        id="compiled around DataParallel",
        marks=pytest.mark.complaint(
            "huggingface/pytorch-image-models#2003",
            "with DDP and compile together it isn't known which of _orig_mod.module. the keys begin with",
            "all wrappers' prefixes are taken off, in any order",
        ),
    ),
    pytest.param(
        lambda name: name.replace("bert.encoder.", "bert.encoder._orig_mod."),
        "'_orig_mod.' taken off",
        id="a compiled part",
        marks=pytest.mark.complaint(
            "eole-nlp/eole#179",
            "torch.compile puts a prefix into the saved names",
            "it is taken off in the middle of names too",
        ),
    ),
    pytest.param(
        lambda name: f"encoder.{name.removeprefix('bert.')}" if "bert." in name else name,
        "'encoder.' read as 'bert.'",
        id="an encoder of another name",
    ),
    pytest.param(
        lambda name: f"module.{name.replace('LayerNorm.weight', 'LayerNorm.gamma')}",
        "'module.' taken off",
        id="with LayerNorm's names of before 2019",
    ),
    pytest.param(
        lambda name: f"base_model.model.{name}",
        "'base_model.model.' taken off",
        id="merged without unloading",
    ),
]


@pytest.mark.parametrize(("rename", "said"), PREFIXES)
def test_a_wrappers_prefix_is_taken_off(classifier, copy, rename, said):
    kit.rewrite(copy, lambda tensors: {rename(name): tensor for name, tensor in tensors.items()})
    model = load_model(copy)
    assert not model.untrained
    assert any(said in note for note in model.notes), model.notes
    assert same_logits(copy, classifier)


def test_two_models_in_one_file(copy):
    kit.rewrite(copy, lambda t: {f"{whose}.{k}": v.clone() for whose in ("student", "teacher") for k, v in t.items()})
    with pytest.raises(ModelError, match=r"occur under 'student\.' and under 'teacher\.'.*save_pretrained"):
        load_model(copy)


def test_the_prefix_is_in_the_output_and_in_the_bundle(classifier, copy, tmp_path, capsys):
    kit.rewrite(copy, lambda tensors: {f"module.{name}": tensor for name, tensor in tensors.items()})
    result = kit.compile_model(capsys, copy, tmp_path / "bundle", "--sequence-lengths", 32)
    assert result.status == 0, result.err
    assert "note: names in the file: 'module.' taken off, as a wrapper put it there" in result.out
    assert "note: names in the file: 'module.' taken off, as a wrapper put it there" in result.err
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert "'module.'" in manifest["sources"]["notes"][0]
    texts = kit.sentences(6, 3)
    right = torch.from_numpy(kit.transformers_logits(classifier, texts)).softmax(-1).numpy()
    assert np.abs(kit.probabilities(kit.predictions(tmp_path / "bundle", texts)) - right).max() < 1e-5


def sharded(directory, shards=3):
    """Split model.safetensors as save_pretrained does."""
    file = directory / "model.safetensors"
    tensors = load_file(file)
    file.unlink()
    table = {name: f"model-{index % shards + 1:05d}-of-{shards:05d}.safetensors" for index, name in enumerate(tensors)}
    for shard in set(table.values()):
        save_file({n: t for n, t in tensors.items() if table[n] == shard}, directory / shard, metadata={"format": "pt"})
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": table}))


def test_shards(classifier, copy):
    sharded(copy)
    assert same_logits(copy, classifier)


@pytest.mark.complaint(
    "sgl-project/sglang#32279",
    "a shard of an unfinished download is dropped in silence and its weights stay random",
    "refused, naming the shards that the index names and that aren't there",
)
def test_missing_shards_are_named(copy):
    sharded(copy)
    (copy / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(MissingWeightsError, match=r"names 3 shards, and 1 aren't there: model-00002-of-00003"):
        load_model(copy)


@pytest.mark.complaint(
    "Neph0s/CoSER#3",
    "the index names thirty shards, fifteen are there",
    "refused with the number of those that are missing",
)
def test_many_missing_shards(copy):
    sharded(copy, shards=8)
    for index in range(2, 8):
        (copy / f"model-{index:05d}-of-00008.safetensors").unlink()
    with pytest.raises(MissingWeightsError, match=r"names 8 shards, and 6 aren't there: .* and 3 more\. Fetch them"):
        load_model(copy)


@pytest.mark.complaint(
    "huggingface/transformers#27923",
    "HeaderTooLarge, where the file is the pointer that git leaves without LFS",
    "called a Git LFS pointer, with the true size and `git lfs pull`",
)
@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_git_lfs_pointers(copy, name):
    (copy / name).write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2\n"
        "size 437955512\n"
    )
    with pytest.raises(ModelError, match=rf"{name}: is a Git LFS pointer .*437955512 bytes: run `git lfs pull`"):
        load_model(copy)


@pytest.mark.complaint(
    "codefuse-ai/MFTCoder#20",
    "HeaderTooLarge for whatever was downloaded instead of the weights",
    "a saved web page is called one",
)
def test_a_web_page_in_place_of_the_weights(copy):
    (copy / "model.safetensors").write_text("<!DOCTYPE html><html>Access to this model is restricted</html>")
    with pytest.raises(ModelError, match=r"model.safetensors: begins with '<!DOCTYPE html.*web page.*gated"):
        load_model(copy)


def test_a_link_of_a_hub_cache_is_followed_and_a_dead_one_named(classifier, copy, tmp_path):
    blob = tmp_path / "blobs" / "4d7a"
    blob.parent.mkdir()
    (copy / "model.safetensors").rename(blob)
    (copy / "model.safetensors").symlink_to(blob)
    assert same_logits(copy, classifier)
    blob.rename(tmp_path / "blobs" / "4d7a.incomplete")
    with pytest.raises(ModelError, match=r"is a link to .*4d7a, which isn't there: the download was not finished"):
        load_model(copy)


OTHERS = [
    pytest.param(
        "tf_model.h5",
        r"TensorFlow's \(tf_model.h5\).*from_tf=True",
        marks=pytest.mark.complaint(
            "huggingface/transformers#8292",
            "no file named pytorch_model.bin found, in a directory with another framework's weights",
            "the framework is named, and how its weights are converted",
        ),
    ),
    pytest.param("flax_model.msgpack", r"Flax's \(flax_model.msgpack\).*from_flax=True"),
    pytest.param(
        "model-Q4_K_M.gguf",
        r"GGUF, quantized for llama.cpp \(model-Q4_K_M.gguf\)\. Give the model that it was made from",
        marks=pytest.mark.complaint(
            "FudanDISC/DISC-MedLLM#20",
            "a directory of GGUF files: Unrecognized model, should have a model_type key",
            "called GGUF; the model that it was made from is to be given",
        ),
    ),
    pytest.param("onnx/model.onnx", r"an exported ONNX graph \(onnx/model.onnx\)"),
    pytest.param("epoch=3.ckpt", r"a Lightning checkpoint, a pickle \(epoch=3.ckpt\)"),
    pytest.param("model.fp16.safetensors", r"but model.fp16.safetensors. If these are the weights"),
    pytest.param("checkpoint-500/model.safetensors", r"Did you mean .*checkpoint-500\?"),
    pytest.param(
        "training_args.bin",
        r"no model.safetensors there, nor an index of shards$",
        marks=pytest.mark.complaint(
            "QwenLM/Qwen#940",
            "a directory of a Trainer has training_args.bin, and no weights",
            "what a Trainer keeps beside the weights isn't taken for them",
        ),
    ),
]


@pytest.mark.parametrize(("name", "message"), OTHERS)
def test_what_lies_there_instead_of_weights_is_named(copy, name, message):
    (copy / "model.safetensors").unlink()
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_bytes(b"x")
    with pytest.raises(MissingWeightsError, match=message):
        load_model(copy)


def test_an_adapters_directory_as_the_model(copy):
    (copy / "model.safetensors").unlink()
    (copy / "adapter_config.json").write_text("{}")
    with pytest.raises(MissingWeightsError, match=r"holds an adapter, not a model.*--adapter"):
        load_model(copy)


def test_an_adapter_beside_the_weights_is_not_put_in_unseen(copy):
    (copy / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "bert"}))
    with pytest.raises(ModelError, match=r"holds an adapter .* beside the model's own weights.*--adapter"):
        load_model(copy)


@pytest.mark.complaint(
    "huggingface/diffusers#2920",
    "LoRA layers saved inside the model can't be loaded with it, and no error says so",
    "an adapter that isn't merged is refused, with what to do",
)
def test_lora_that_is_not_merged(copy):
    kit.rewrite(
        copy, lambda t: {**t, "bert.encoder.layer.0.attention.self.query.lora_A.default.weight": torch.ones(2, 32)}
    )
    with pytest.raises(ModelError, match=r"isn't merged .*lora_A.*merge_and_unload"):
        load_model(copy)


@pytest.mark.complaint(
    "salesforce/BLIP#128",
    "size mismatch for word_embeddings: the config's vocab_size isn't that of the weights",
    "refused, naming vocab_size and both numbers",
)
def test_too_small_a_vocabulary(copy):
    size = json.loads((copy / "config.json").read_text())["vocab_size"]
    kit.reconfigure(copy, vocab_size=100)
    with pytest.raises(ModelError, match=rf"word_embeddings.weight is \[{size}, 32\].*vocab_size is 100, not {size}"):
        load_model(copy)


@pytest.mark.complaint(
    "huggingface/sentence-transformers#3347",
    "size mismatch for position_embeddings, 512 in the file and 128 by the config",
    "refused, naming max_position_embeddings and both numbers",
)
def test_other_positions(copy):
    kit.reconfigure(copy, max_position_embeddings=50)
    with pytest.raises(ModelError, match=r"position_embeddings.weight is \[64, 32\].*max_position_embeddings is 50"):
        load_model(copy)


def test_more_layers_in_the_file(copy):
    kit.reconfigure(copy, num_hidden_layers=1)
    with pytest.raises(ModelError, match=r"more layers than config.json says: 16 tensors under bert.encoder.layer.1 "):
        load_model(copy)


def test_more_layers_in_the_config(copy):
    kit.reconfigure(copy, num_hidden_layers=3)
    with pytest.raises(ModelError, match=r"in no file.*random: 16 tensors under bert.encoder.layer.2\. Give"):
        refuse_untrained(load_model(copy))


def test_a_pickle_alone_and_allowed(classifier, copy):
    tensors = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    torch.save(tensors, copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pickle \(pytorch_model.bin\).*--allow-pickle"):
        load_model(copy)
    model = load_model(copy, allow_pickle=True)
    right = load_model(classifier).module.state_dict()
    assert all(torch.equal(tensor, right[name]) for name, tensor in model.module.state_dict().items())


def test_a_pickle_that_calls_something_is_not_run(copy, tmp_path):
    class Evil:
        def __reduce__(self):
            return (subprocess.call, (["touch", str(tmp_path / "ran")],))

    (copy / "model.safetensors").unlink()
    torch.save({"x": Evil()}, copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="transformers can't load it"):
        load_model(copy, allow_pickle=True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.complaint(
    "nghuyong/ERNIE-Pytorch#41",
    "Unrecognized model, should have a model_type key, or contain a family in its name",
    "refused with the line to add, told from architectures, and never guessed from the directory's name",
)
def test_no_model_type(copy, tmp_path):
    kit.reconfigure(copy, model_type=None)
    for name in ("model", "bert-of-mine"):  # transformers takes the second
        shutil.copytree(copy, tmp_path / "named" / name)
        with pytest.raises(ModelError, match=r'no model_type. Add it: "model_type": "bert", as BertForSequence'):
            load_model(tmp_path / "named" / name)


@pytest.mark.complaint(
    "huggingface/transformers#42381",
    "Unrecognized model, for a model_type that this release doesn't know",
    "the name and the release are said",
)
def test_an_unknown_family(copy):
    kit.reconfigure(copy, model_type="brand_new_bert")
    with pytest.raises(ModelError, match=r"'brand_new_bert' is unknown to transformers \d+\.\d+"):
        load_model(copy)


@pytest.mark.complaint(
    "huggingface/optimum#2080",
    "a family that lives in the model's own code: trying to export a custom architecture",
    "refused: its code is named and never run",
)
def test_a_family_of_the_models_own_code(copy, tmp_path):
    code = {"AutoModelForSequenceClassification": "modeling_my.MyModel"}
    (copy / "modeling_my.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    kit.reconfigure(copy, model_type="my_bert", auto_map=code)
    with pytest.raises(ModelError, match=r"'my_bert' is code that lies beside the weights \(modeling_my.MyModel\)"):
        load_model(copy)
    kit.reconfigure(copy, model_type="bert", auto_map=code)
    assert load_model(copy).notes == (
        "code of its own (modeling_my.MyModel) is not run: transformers' bert is compiled",
    )
    assert not (tmp_path / "ran").exists()


def test_comments_in_json(copy):
    text = (copy / "config.json").read_text()
    (copy / "config.json").write_text(text.replace("{", "{\n  // trained in May", 1))
    with pytest.raises(ModelError, match=r"config.json: not valid JSON: .*line 2 .*no comments: take them out"):
        load_model(copy)
