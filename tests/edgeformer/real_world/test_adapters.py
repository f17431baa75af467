"""LoRA adapters as people have them: each equal to peft's own model, or refused with the cause that is true."""

import json

import kit
import numpy as np
import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from edgeformer.errors import AdapterError, ModelError
from edgeformer.loading.load import load_model

pytestmark = pytest.mark.filterwarnings("ignore")
QV = ["query", "value"]
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A BERT without a head, with its tokenizer, as it is fetched."""
    return headless(tmp_path_factory.mktemp("bert"), transformers.BertModel)


def headless(directory, model_class, tokenizer=kit.wordpiece, **settings):
    vocabulary = len(tokenizer(directory))
    config = model_class.config_class(vocab_size=vocabulary, **{**kit.SMALL, **settings})
    kit.seeded(model_class, config).save_pretrained(directory)
    return directory


def edit(adapter, change):
    """Change an adapter's tensors by a function of their dictionary."""
    tensors = load_file(adapter / WEIGHTS)
    tensors = change(tensors) or tensors
    save_file(tensors, adapter / WEIGHTS)


def reconfigure(adapter, **settings):
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))


def equal(model, tuned, ids=None):
    torch.testing.assert_close(kit.first_output(model.module, ids), kit.first_output(tuned, ids), rtol=1e-5, atol=2e-5)


# --- heads and labels ---


@pytest.mark.complaint(
    "huggingface/peft#554", "a classifier of another number of labels: size mismatch while loading the adapter",
    "the head's width is read from the adapter",
)  # fmt: skip
def test_the_width_of_the_head_is_the_adapters(bert, tmp_path):
    tuned = kit.tuned(bert, tmp_path, labels=8, task_type="SEQ_CLS")
    model = kit.merged(bert, tmp_path)
    assert len(model.task.labels) == 8
    equal(model, tuned)


@pytest.mark.complaint(
    "huggingface/peft#1486", "peft keeps no label names: predictions come as LABEL_0, LABEL_1",
    "rows with names get the --labels line to paste, which says that the order must be training's",
)  # fmt: skip
def test_rows_with_names_get_the_line_to_paste(bert, tmp_path, capsys):
    names = ["acq", "crude", "earn", "grain", "interest", "money-fx", "ship", "trade"]
    kit.tuned(bert, tmp_path / "lora", labels=8, task_type="SEQ_CLS")
    texts = kit.sentences(24, 1)
    rows = kit.write_csv(tmp_path / "rows.csv", {"text": texts, "label": [names[i % 8] for i in range(24)]})
    call = ["--adapter", tmp_path / "lora", "--evaluation", rows, "--sequence-lengths", "32"]
    refused = kit.compile_model(capsys, bert, tmp_path / "bundle", *call)
    assert refused.status == 2, refused.text
    line = f"--labels {','.join(names)}"
    assert line in refused.err, refused.err
    assert "another order gives wrong results" in refused.err
    assert "the model's 8 outputs have none" in refused.err
    for few in (names[:7], names[:2]):
        wrong = kit.compile_model(capsys, bert, tmp_path / "bundle", *call, "--labels", ",".join(few))
        assert wrong.status != 0
        assert f"8 outputs, but {len(few)} labels are named" in wrong.err, wrong.err
    model = load_model(bert, adapters=[tmp_path / "lora"], labels=names)
    assert model.task.labels == tuple(names)


@pytest.mark.complaint(
    "huggingface/peft#310", "trained for classification, but the file holds the attention's matrices alone",
    "named: the head that is in no file, and modules_to_save to train with",
)  # fmt: skip
def test_a_head_that_was_never_saved(bert, tmp_path):
    kit.tuned(bert, tmp_path, labels=3, target_modules=QV)  # no task_type, so peft doesn't know of a head
    with pytest.raises(AdapterError, match=r"classifier is neither in the base model's files.*=\['classifier'\]"):
        kit.merged(bert, tmp_path)


@pytest.mark.complaint(
    "huggingface/peft#2171", "LoRA on DeBERTa: after loading, accuracy is 0.98 or 0.3 or 0, by chance",
    "named: the pooler is a part of the head that peft's defaults don't save",
)  # fmt: skip
def test_debertas_pooler(tmp_path):
    base = headless(tmp_path / "base", transformers.DebertaV2Model, relative_attention=True, pos_att_type=["c2p"])
    kit.tuned(base, tmp_path / "lora", labels=2, task_type="SEQ_CLS")
    with pytest.raises(AdapterError, match=r"pooler.dense is neither .*random when training began"):
        kit.merged(base, tmp_path / "lora")
    tuned = kit.tuned(base, tmp_path / "again", labels=2, task_type="SEQ_CLS", modules_to_save=["pooler.dense"])
    equal(kit.merged(base, tmp_path / "again"), tuned)


@pytest.mark.complaint(
    "huggingface/sentence-transformers#3980", "the base has a head of its own, and the trained one is thrown away",
    "the adapter's head takes the place of the base's, of whatever width",
)  # fmt: skip
@pytest.mark.parametrize("labels", [3, 5])
def test_a_base_with_a_head_of_its_own(labels, tmp_path):
    kit.bert_classifier(tmp_path / "base", id2label={0: "sport", 1: "money", 2: "tech"})
    said = []
    tuned = kit.tuned(tmp_path / "base", tmp_path / "lora", labels=labels, task_type="SEQ_CLS")
    model = kit.merged(tmp_path / "base", tmp_path / "lora", said)
    equal(model, tuned)
    if labels == 3:
        assert model.task.labels == ("sport", "money", "tech")
        assert any("labels are the base model's (sport, money, tech)" in line for line in said), said
    else:
        assert model.task.labels == tuple(f"LABEL_{index}" for index in range(5))
        assert any("5 outputs and no names" in line and "those of another head" in line for line in said), said


@pytest.mark.complaint(
    "huggingface/peft#2136", "several adapters with classifiers of different widths on one base",
    "one bundle has one head: refused, with both widths",
)  # fmt: skip
def test_two_heads(bert, tmp_path):
    kit.tuned(bert, tmp_path / "four", labels=4, task_type="SEQ_CLS")
    kit.tuned(bert, tmp_path / "six", labels=6, task_type="SEQ_CLS")
    with pytest.raises(AdapterError, match="four has 4 outputs and six has 6 outputs: only one can be used"):
        kit.merged(bert, [tmp_path / "four", tmp_path / "six"])


# --- tokens of its own ---


def with_tokens(base, adapter, keep_rows=True, keep_tokenizer=True, head="", **config):
    """peft's model after two tokens were added to tokenizer and table, and that tokenizer."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["<TOK1>", "<TOK2>"])
    torch.manual_seed(4)
    model = getattr(transformers, f"AutoModelFor{head}" if head else "AutoModel").from_pretrained(base)
    model.resize_token_embeddings(len(tokenizer))
    wrapped = peft.get_peft_model(model, peft.LoraConfig(**{"target_modules": QV, **config}))
    kit.trained(wrapped, adapter, save_embedding_layers=keep_rows)
    if keep_tokenizer:
        tokenizer.save_pretrained(adapter)
    return wrapped, tokenizer


@pytest.mark.complaint(
    "huggingface/peft#1457", "tokens were added to RoBERTa, all was saved: size mismatch for the embeddings on loading",
    "the adapter's rows and its tokenizer are used together, on the device too",
)  # fmt: skip
def test_tokens_of_its_own_reach_the_device(tmp_path, capsys):
    base = headless(
        tmp_path / "base", transformers.RobertaModel, kit.byte_bpe, pad_token_id=1, max_position_embeddings=66
    )
    tuned, tokenizer = with_tokens(base, tmp_path / "lora", task_type="FEATURE_EXTRACTION")
    done = kit.compile_model(
        capsys, base, tmp_path / "bundle", "--adapter", tmp_path / "lora", "--sequence-lengths", "32"
    )
    assert done.status == 0, done.text
    assert "2 tokens more than the base's (<TOK1>, <TOK2>)" in done.text
    texts = ["the <TOK1> market", "a slow <TOK2><TOK1> train", "good old team"]
    found = kit.predictions(tmp_path / "bundle", texts)
    for text, vector in zip(texts, found, strict=True):
        encoded = tokenizer(text, return_tensors="pt")
        assert ("<TOK" in text) == bool((encoded["input_ids"] >= len(tokenizer) - 2).any())
        with torch.no_grad():
            mean = tuned(**encoded)[0].mean(1)[0]
        np.testing.assert_allclose(vector.embedding, (mean / mean.norm()).numpy(), atol=2e-5)


@pytest.mark.complaint(
    "huggingface/peft#1300", "custom tokens with the embeddings in modules_to_save: size mismatch on loading",
    "the table gets the adapter's rows",
)  # fmt: skip
def test_a_table_in_modules_to_save(bert, tmp_path):
    tuned, tokenizer = with_tokens(bert, tmp_path, False, modules_to_save=["word_embeddings"])
    model = kit.merged(bert, tmp_path)
    assert Tokenizer.from_str(model.tokenizer).token_to_id("<TOK2>") == len(tokenizer) - 1
    equal(model, tuned, torch.tensor([[2, len(tokenizer) - 1, len(tokenizer) - 2, 9, 3]]))


@pytest.mark.complaint(
    "huggingface/sentence-transformers#3052", "an adapter with added tokens can't be loaded; new rows are gone",
    "refused, naming the token without a row and how to save its row",
)  # fmt: skip
def test_tokens_whose_rows_were_not_saved(bert, tmp_path):
    with_tokens(bert, tmp_path, keep_rows=False)
    with pytest.raises(
        AdapterError, match=r"gives '<TOK2>' the id \d+, but neither the base nor it has a row.*save_emb"
    ):
        kit.merged(bert, tmp_path)


def test_rows_trained_alone(bert, tmp_path):
    """trainable_token_indices: the new rows and one old."""
    first = len(transformers.AutoTokenizer.from_pretrained(bert))
    config = {"trainable_token_indices": {"word_embeddings": [7, first, first + 1]}}
    tuned, _ = with_tokens(bert, tmp_path, keep_rows=False, **config)
    equal(kit.merged(bert, tmp_path), tuned, torch.tensor([[2, first, first + 1, 7, 3]]))


def test_rows_without_a_tokenizer_are_named(bert, tmp_path):
    tuned, _ = with_tokens(bert, tmp_path, keep_tokenizer=False)
    said = []
    equal(kit.merged(bert, tmp_path, said), tuned)
    assert any("no tokenizer beside it" in line for line in said), said


@pytest.mark.complaint(
    "huggingface/peft#2415", "the table is larger than the tokenizer says: resized to the tokenizer's size, mismatch",
    "spare rows of the base stay, and an equal tokenizer changes nothing",
)  # fmt: skip
def test_spare_rows(tmp_path):
    base = headless(tmp_path / "base", transformers.BertModel)
    model = transformers.BertModel.from_pretrained(base)
    model.resize_token_embeddings(320)
    model.save_pretrained(base)
    tuned = kit.tuned(base, tmp_path / "lora", "", target_modules=QV)
    transformers.AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "lora")
    result = kit.merged(base, tmp_path / "lora")
    assert result.module.get_input_embeddings().num_embeddings == 320
    equal(result, tuned)


@pytest.mark.complaint(
    "huggingface/peft#1932", "an adapter on a base that isn't quite the same loads without a word",
    "its tokenizer gives tokens other ids: refused, naming one",
)  # fmt: skip
def test_the_tokenizer_of_another_base(bert, tmp_path):
    kit.tuned(bert, tmp_path, "", target_modules=QV)
    swapped = json.loads((bert / "tokenizer.json").read_text())
    vocabulary = swapped["model"]["vocab"]
    one, other = sorted(vocabulary, key=vocabulary.get)[40:42]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    (tmp_path / "tokenizer.json").write_text(json.dumps(swapped))
    with pytest.raises(AdapterError, match=r"its tokenizer gives .* the id 4[01], that of .* trained on another base"):
        kit.merged(bert, tmp_path)


# --- an adapter that loads and does nothing ---


@pytest.mark.complaint(
    "huggingface/peft#793", "the model with LoRA answers exactly as the base does: B stayed zero",
    "refused: it has no effect; with a trained head, the updates that are zero are named",
)  # fmt: skip
def test_updates_that_are_zero(bert, tmp_path):
    def zero(tensors):
        return {name: torch.zeros_like(t) if "lora_B" in name else t for name, t in tensors.items()}

    kit.tuned(bert, tmp_path / "bare", "", target_modules=QV)
    edit(tmp_path / "bare", zero)
    with pytest.raises(AdapterError, match="loaded, but has no effect"):
        kit.merged(bert, tmp_path / "bare")
    kit.tuned(bert, tmp_path / "head", task_type="SEQ_CLS")
    edit(tmp_path / "head", zero)
    said = []
    kit.merged(bert, tmp_path / "head", said)
    assert any("all of its low-rank updates are zero" in line for line in said), said


def prefixed(prefix):
    return lambda tensors: {prefix + name: tensor for name, tensor in tensors.items()}


def live_names(tensors):
    """As ``model.state_dict()`` has them: the adapter's name inside."""
    return {
        name.replace("lora_A.", "lora_A.default_0.")
        .replace("lora_B.", "lora_B.default_0.")
        .replace("classifier.", "classifier.modules_to_save.default_0."): tensor
        for name, tensor in tensors.items()
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            live_names,
            "the adapter's name 'default_0' was taken out",
            marks=pytest.mark.complaint(
                "huggingface/diffusers#11675",
                "the keys hold default_0, so every lora_A is 'missing' and nothing is loaded",
                "the adapter's name is taken out, and said",
            ),
            id="the adapter's name inside",
        ),
        pytest.param(
            prefixed("_orig_mod."),
            "a wrapper's prefix",
            marks=pytest.mark.complaint(
                "huggingface/peft#2957",
                "torch.compile puts _orig_mod. before the names, and no target is found",
                "the prefix is taken off, and said",
            ),
            id="torch.compile",
        ),
        pytest.param(prefixed("module."), "a wrapper's prefix", id="DataParallel"),
        pytest.param(prefixed("base_model.model."), "2 times: a peft model was wrapped again", id="wrapped twice"),
        pytest.param(
            lambda tensors: {name.removeprefix("base_model.model."): t for name, t in tensors.items()},
            "which peft itself would not load",
            id="no prefix",
        ),
    ],
)
def test_names_that_peft_would_not_find(bert, tmp_path, change, said):
    tuned = kit.tuned(bert, tmp_path, task_type="SEQ_CLS")
    edit(tmp_path, change)
    lines = []
    equal(kit.merged(bert, tmp_path, lines), tuned)
    assert any(said in line for line in lines), lines


@pytest.mark.complaint(
    "huggingface/diffusers#10187", "trained on the bare encoder, loaded into another wrapping: a no-op",
    "refused, saying how the base must be loaded",
)  # fmt: skip
def test_trained_on_the_bare_encoder(bert, tmp_path):
    kit.tuned(bert, tmp_path, "", target_modules=QV)
    with pytest.raises(AdapterError, match="trained on the bare model: load the base model without a task head"):
        kit.merged(bert, tmp_path, task="text-classification")


@pytest.mark.complaint(
    "huggingface/peft#1328", "saved under ZeRO-3: every tensor has shape [0], size mismatch for each of them",
    "one sentence: the parts weren't gathered before saving",
)  # fmt: skip
def test_tensors_that_were_not_gathered(bert, tmp_path):
    kit.tuned(bert, tmp_path, task_type="SEQ_CLS")
    edit(tmp_path, lambda tensors: {name: torch.zeros(0) for name in tensors})
    with pytest.raises(AdapterError, match="is empty: training was spread over machines"):
        kit.merged(bert, tmp_path)


@pytest.mark.complaint(
    "huggingface/peft#460", "an adapter file of a few hundred bytes: it holds nothing",
    "refused before anything else is done",
)  # fmt: skip
def test_a_file_that_holds_nothing(bert, tmp_path):
    kit.tuned(bert, tmp_path, task_type="SEQ_CLS")
    edit(tmp_path, lambda tensors: {"base_model.model.classifier.bias": tensors["base_model.model.classifier.bias"]})
    with pytest.raises(AdapterError, match="holds no lora_A and lora_B at all"):
        kit.merged(bert, tmp_path)


# --- directories ---


@pytest.mark.complaint(
    "mymusise/ChatGLM-Tuning#219", "Can't find 'adapter_config.json' at 'output': it lies in the checkpoints",
    "the folders that hold adapters are named",
)  # fmt: skip
def test_a_directory_of_checkpoints(bert, tmp_path, capsys):
    for step in (200, 400):
        kit.tuned(bert, tmp_path / f"checkpoint-{step}", task_type="SEQ_CLS")
    refused = kit.compile_model(capsys, bert, tmp_path / "bundle", "--adapter", tmp_path)
    assert refused.status != 0
    assert "but checkpoint-200, checkpoint-400 in it do: give one of them" in refused.err, refused.err


@pytest.mark.complaint(
    "huggingface/peft#298", "the path to the saved peft model has no config.json",
    "an adapter given as the model: named as one, with its base and the option to give it by",
)  # fmt: skip
@pytest.mark.parametrize("of_sentences", [False, True])  # sentence-transformers writes modules.json beside it
def test_an_adapter_given_as_the_model(bert, tmp_path, of_sentences):
    kit.tuned(bert, tmp_path, task_type="SEQ_CLS")
    if of_sentences:
        (tmp_path / "modules.json").write_text("[]")
    with pytest.raises(ModelError, match=f"is a peft adapter, not a model: .*--adapter {tmp_path}.*{bert}"):
        load_model(tmp_path)


def test_adapters_with_names(bert, tmp_path):
    """save_pretrained puts each adapter but "default" into a folder of its name; one file can't hold two."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(bert)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_CLS"))
    wrapped.add_adapter("other", peft.LoraConfig(task_type="SEQ_CLS", r=2))
    kit.trained(wrapped, tmp_path)
    said = []
    equal(kit.merged(bert, tmp_path, said), wrapped)
    assert any("also holds the adapters other, which are not used" in line for line in said), said
    wrapped.set_adapter("other")
    equal(kit.merged(bert, tmp_path / "other"), wrapped)
    both = {name: tensor for name, tensor in wrapped.state_dict().items() if "lora_" in name}
    save_file(both, tmp_path / WEIGHTS)
    with pytest.raises(AdapterError, match="holds the adapters default, other in one"):
        kit.merged(bert, tmp_path)


# --- variants of LoRA, and what isn't LoRA ---


@pytest.mark.complaint(
    "huggingface/peft#2184", "PiSSA changes the base's weights in silence, so that loading it gives garbage",
    "refused, with the way to save it as plain LoRA",
)  # fmt: skip
@pytest.mark.parametrize("init", ["pissa", "olora", "pissa_niter_2"])
def test_inits_that_change_the_base(bert, tmp_path, init):
    kit.tuned(bert, tmp_path, task_type="SEQ_CLS", init_lora_weights=init)
    with pytest.raises(AdapterError, match=r"changed the base weights when training began.*weight_conversion"):
        kit.merged(bert, tmp_path)


@pytest.mark.complaint(
    "huggingface/peft#1929", "PiSSA saved as LoRA with rsLoRA: not the base plus the update",
    "the converted adapter on the plain base equals the trained model",
)  # fmt: skip
@pytest.mark.parametrize("config", [{"init_lora_weights": "pissa", "use_rslora": True}, {"init_lora_weights": "olora"}])
def test_inits_saved_as_plain_lora(bert, tmp_path, config):
    converted(bert, tmp_path, "", target_modules=QV, **config)
    fresh = transformers.AutoModel.from_pretrained(bert)
    expected = peft.PeftModel.from_pretrained(fresh, tmp_path / "lora").eval()
    equal(kit.merged(bert, tmp_path / "lora"), expected)


def test_the_conversion_to_plain_lora_drops_the_head(bert, tmp_path):
    """peft writes the low-rank matrices alone then, and can't load what it wrote."""
    converted(bert, tmp_path, "ForSequenceClassification", task_type="SEQ_CLS", init_lora_weights="pissa")
    with pytest.raises(AdapterError, match=r"modules_to_save covers .classifier.weight., but the file doesn't hold it"):
        kit.merged(bert, tmp_path / "lora")


def converted(base, folder, head, **config):
    """An adapter whose training began with changed base weights, saved as plain LoRA for the unchanged ones."""
    torch.manual_seed(4)
    model = getattr(transformers, f"AutoModel{head}").from_pretrained(base)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(**config))
    wrapped.peft_config["default"].init_lora_weights = True
    wrapped.save_pretrained(folder / "began")
    wrapped.peft_config["default"].init_lora_weights = config["init_lora_weights"]
    kit.trained(wrapped, folder / "lora", path_initial_model_for_weight_conversion=str(folder / "began"))


@pytest.mark.complaint(
    "huggingface/peft#2194", "rank_pattern and alpha_pattern together: a general pattern hides a special one",
    "each pattern is looked up for itself",
)  # fmt: skip
def test_both_patterns(bert, tmp_path):
    patterns = {"rank_pattern": {"query": 3}, "alpha_pattern": {"layer.0.attention.self.query": 32, "value": 2}}
    tuned = kit.tuned(bert, tmp_path, "", target_modules=QV, **patterns)
    equal(kit.merged(bert, tmp_path), tuned)


@pytest.mark.complaint(
    "huggingface/peft#318", "MPNet has no default targets, so people name them themselves",
    "merged, equal to peft",
)  # fmt: skip
def test_mpnet(tmp_path):
    base = headless(tmp_path / "base", transformers.MPNetModel)
    tuned = kit.tuned(base, tmp_path / "lora", labels=4, task_type="SEQ_CLS", target_modules=["q", "k", "v", "o"])
    equal(kit.merged(base, tmp_path / "lora"), tuned)


@pytest.mark.complaint(
    "huggingface/peft#2322", "a trained AdaLoRA, merged, gives the base's weights",
    "merged as the plain LoRA that it equals",
)  # fmt: skip
def test_adalora(bert, tmp_path):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(bert)
    wrapped = peft.get_peft_model(model, peft.AdaLoraConfig(task_type="SEQ_CLS", total_step=10))
    kit.trained(wrapped, tmp_path)
    equal(kit.merged(bert, tmp_path), wrapped)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (lambda: peft.IA3Config(task_type="SEQ_CLS"), "Merge it with peft first"),
        (lambda: peft.VeraConfig(task_type="SEQ_CLS"), "Merge it with peft first"),
        (lambda: peft.PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=4), "no weight to merge them into"),
    ],
)
def test_what_is_not_lora(bert, tmp_path, config, said):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(bert)
    peft.get_peft_model(model, config()).save_pretrained(tmp_path)
    with pytest.raises(AdapterError, match=f"peft_type is '.*{said}"):
        kit.merged(bert, tmp_path)
