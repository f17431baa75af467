"""Directories that sentence-transformers saved: the reference is its own ``encode`` and ``predict``."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import sentence_transformers as st
import torch
import transformers
from kit import SMALL, compile_model, predictions, ran, seeded, sentences, wordpiece
from sentence_transformers.base.modules import Dense, Router, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Normalize, Pooling, StaticEmbedding
from tokenizers import Tokenizer

from edgeformer.data.encoding import encode
from edgeformer.errors import ModelError
from edgeformer.loading.load import load_model
from edgeformer.rows.samples import Sample, Samples
from edgeformer.tasks.pooling import POOLING_MODES
from edgeformer_runtime import Session
from edgeformer_runtime import cli as device_cli
from edgeformer_runtime.errors import InputError

WIDTH = SMALL["hidden_size"]
TEXTS = sentences(6, 3)
LENGTHS = ("--sequence-lengths", "16,32")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    """A small BERT with its tokenizer."""
    directory = tmp_path_factory.mktemp("encoder")
    config = transformers.BertConfig(vocab_size=len(wordpiece(directory)), **SMALL)
    seeded(transformers.BertModel, config).save_pretrained(directory)
    return directory


@pytest.fixture
def saved(encoder, tmp_path):
    """A function: from modules behind the encoder to a saved directory and the vectors of ``TEXTS``."""

    def save(*modules, **options):
        model = st.SentenceTransformer(modules=[Transformer(str(encoder)), *modules], device="cpu", **options).eval()
        model.save(str(tmp_path / "model"))
        return tmp_path / "model", model

    return save


def dense(width: int, out: int, activation=None, **options) -> Dense:
    torch.manual_seed(width + out)
    return Dense(width, out, activation_function=activation or torch.nn.Tanh(), **options)


def loaded_vectors(directory: Path, texts=TEXTS) -> np.ndarray:
    """[texts, dimensions]: the loaded model as exporters get it, in torch, each text alone."""
    model = load_model(directory)
    feeds = encode(model.signature, Samples(str(directory), tuple(Sample(text) for text in texts), ""), 64).feeds
    with torch.no_grad():
        run = model.callable_module()
        return np.concatenate([run(*(torch.from_numpy(row[s.name]) for s in model.inputs))[0].numpy() for row in feeds])


def embeddings(bundle: Path, texts=TEXTS, variant: str = "auto") -> np.ndarray:
    return np.stack([item.embedding for item in predictions(bundle, texts, variant)])


@pytest.mark.parametrize(
    "modules",
    [
        pytest.param(
            lambda: [Pooling(WIDTH, "mean"), dense(WIDTH, 24)],
            id="dense with tanh",
            marks=pytest.mark.complaint(
                "huggingface/transformers.js#230",
                "a distiluse model in ONNX gives 768 numbers where its card says 512: the Dense module is missing",
                "the Dense module and its activation are part of the bundle's graph",
            ),
        ),
        pytest.param(
            lambda: [
                Pooling(WIDTH, "mean"),
                dense(WIDTH, 80, torch.nn.Identity(), bias=False),
                dense(80, WIDTH, torch.nn.Identity(), bias=False),
                Normalize(),
            ],
            id="two dense without bias",
            marks=pytest.mark.complaint(
                "plur-ai/plur#270",
                "an EmbeddingGemma pipeline pools and skips the two Dense layers: vectors orthogonal to the right ones",
                "both layers, without bias and with Identity, then the normalization",
            ),
        ),
        pytest.param(
            lambda: [Pooling(WIDTH, "mean"), Normalize()],
            id="normalize",
            marks=pytest.mark.complaint(
                "huggingface/sentence-transformers#3258",
                "the exported ONNX model ends at the Transformer: Pooling and Normalize are missing",
                "pooling and normalization are inside the graph",
            ),
        ),
        pytest.param(
            lambda: [Pooling(WIDTH, "cls"), Normalize(), dense(WIDTH, 8, torch.nn.GELU()), Dropout(0.2), LayerNorm(8)],
            id="normalize before dense",
        ),
        pytest.param(lambda: [Pooling(WIDTH, "mean"), dense(WIDTH, 8, torch.nn.PReLU(), use_residual=True)], id="more"),
        pytest.param(
            lambda: [Pooling(WIDTH, "lasttoken")],
            id="last token",
            marks=pytest.mark.complaint(
                "vllm-project/vllm#16892",
                "with pooling_mode_lasttoken the served vectors aren't those of sentence-transformers",
                "the last token that is no padding",
            ),
        ),
        *[pytest.param(lambda mode=mode: [Pooling(WIDTH, mode)], id=mode) for mode in POOLING_MODES],
        pytest.param(lambda: [Pooling(WIDTH, ("mean", "cls", "max"))], id="concatenated, in the file's order"),
    ],
)
def test_vectors_equal_encode(saved, modules):
    directory, model = saved(*modules())
    assert np.abs(loaded_vectors(directory) - model.encode(TEXTS)).max() < 1e-5


@pytest.mark.complaint(
    "huggingface/optimum#1519",
    "the exported model of a directory with 1_Pooling and 2_Dense puts out [1, tokens, 768]: both are ignored",
    "each variant gives encode()'s vector, with every pooling, LayerNorm and Dense",
)
@pytest.mark.parametrize(
    "formats", [("onnx", "tflite"), pytest.param(("tensorrt", "coreml"), marks=pytest.mark.slow)], ids="-".join
)
def test_every_variant_holds_all_modules(saved, tmp_path, capsys, formats):
    wide = WIDTH * len(POOLING_MODES)
    modules = [Pooling(WIDTH, POOLING_MODES), LayerNorm(wide), dense(wide, 24, torch.nn.GELU()), Normalize()]
    directory, model = saved(*modules)
    more = [word for name in formats[1:] for word in ("--format", name)]
    compiled = compile_model(capsys, directory, tmp_path / "bundle", *LENGTHS, *more, format=formats[0])
    assert compiled.status == 0, compiled.text
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert [variant["format"] for variant in manifest["variants"]] == list(formats)
    assert "texts are cut to 32 tokens, the directory says 64" in compiled.text
    assert manifest["signature"]["outputs"][0]["shape"] == ["batch", 24]
    for variant in manifest["variants"]:
        assert variant["verification"]["cosine_min"] > 0.99999
        if variant["format"] in ("onnx", "tflite"):
            found = embeddings(tmp_path / "bundle", variant=variant["name"])
            assert np.abs(found - model.encode(TEXTS)).max() < 1e-5


def test_dense_layers_are_quantized_as_a_head_when_the_recipe_says_so(saved, tmp_path, capsys):
    directory, model = saved(Pooling(WIDTH, "mean"), dense(WIDTH, 64), dense(64, 24, torch.nn.Identity()), Normalize())
    more = ("--set", "quantize.head=int8", "--dimensions", "16")
    compiled = compile_model(capsys, directory, tmp_path / "bundle", *LENGTHS, *more, recipe="int8")
    assert compiled.status == 0, compiled.text
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    passes = json.loads((tmp_path / "bundle" / "report.json").read_text())["passes"]
    formats = next(step["facts"]["layers"] for step in passes if step["name"] == "quantize")
    assert [formats[f"sentence_layers.{index}.linear"] for index in (0, 1)] == ["int8", "int8"]
    assert manifest["signature"]["outputs"][0]["shape"] == ["batch", 16]
    found, expected = embeddings(tmp_path / "bundle"), model.encode(TEXTS, truncate_dim=16)
    cosines = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() > 0.99


def test_older_flags_of_poolings_are_joined_in_the_old_order(saved):
    directory, model = saved(Pooling(WIDTH, ("cls", "max", "mean")))
    flags = {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True,
             "pooling_mode_cls_token": True, "pooling_mode_lasttoken": False}  # fmt: skip
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(flags))
    assert np.abs(loaded_vectors(directory) - model.encode(TEXTS)).max() < 1e-5


@pytest.mark.complaint(
    "huggingface/text-embeddings-inference#701",
    "the Dense module of a model isn't in 2_Dense but in 2_Dense_1024, where modules.json says, and isn't found",
    "every module, the encoder too, is read from its path in modules.json",
)
def test_the_encoder_lies_where_modules_json_says(saved):
    directory, model = saved(Pooling(WIDTH, "mean"), dense(WIDTH, 8))
    (directory / "0_Transformer").mkdir()
    (directory / "2_Dense").rename(directory / "2_Dense_8")
    for path in list(directory.iterdir()):
        if path.is_file() and path.name not in ("modules.json", "config_sentence_transformers.json"):
            shutil.move(path, directory / "0_Transformer" / path.name)
    entries = json.loads((directory / "modules.json").read_text())
    entries[0]["path"], entries[2]["path"] = "0_Transformer", "2_Dense_8"
    for entry in entries:  # the names of releases before 5.4
        entry["type"] = f"sentence_transformers.models.{entry['type'].rpartition('.')[2]}"
    (directory / "modules.json").write_text(json.dumps(entries))
    assert np.abs(loaded_vectors(directory) - model.encode(TEXTS)).max() < 1e-5


def change(directory: Path, name: str, **values) -> None:
    """Other values in one of the directory's JSON files."""
    path = directory / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


SETTINGS, ENCODER_SETTINGS = "config_sentence_transformers.json", "sentence_bert_config.json"


@pytest.mark.complaint(
    "huggingface/transformers.js#810",
    "prompts of config_sentence_transformers.json are nowhere to be seen in the exported model",
    "the manifest lists them; predict(texts, prompt=name) puts one before each text, an unknown name is refused",
)
def test_prompts_length_and_dimensions_reach_the_device(saved, tmp_path, capsys):
    prompts = {"query": "old song: ", "document": ""}
    options = {"prompts": prompts, "default_prompt_name": "query", "truncate_dim": 12, "similarity_fn_name": "dot"}
    directory, _ = saved(Pooling(WIDTH, "mean"), Normalize(), **options)
    change(directory, ENCODER_SETTINGS, max_seq_length=20)
    model = st.SentenceTransformer(str(directory), device="cpu")
    texts = [*TEXTS, " ".join(sentences(6, 9))]
    compiled = compile_model(capsys, directory, tmp_path / "bundle", *LENGTHS)
    assert compiled.status == 0, compiled.text
    assert "texts are cut to 20 tokens, as the directory says (max_seq_length" in compiled.text
    with Session.open(tmp_path / "bundle", threads=1) as session:
        preprocess, task = session.manifest.text, session.manifest.task
        assert (preprocess.prompts, preprocess.default_prompt, preprocess.max_length) == (prompts, "query", 20)
        assert (task.similarity, session.manifest.outputs[0].shape) == ("dot", ("batch", 12))
        for name in (None, "query", "document", ""):
            found = session.predict(texts, prompt=name)
            asked = {"prompt": ""} if name == "" else {"prompt_name": name}
            assert np.abs(np.stack([item.embedding for item in found]) - model.encode(texts, **asked)).max() < 1e-5
            assert found[-1].truncated
        with pytest.raises(InputError, match="'passage': the bundle has no prompt of this name, it has"):
            session.predict(texts, prompt="passage")
    by_name = ran(capsys, device_cli.main, ["predict", tmp_path / "bundle", "--prompt", "document", "--json", TEXTS[0]])
    vector = json.loads(by_name.out)["results"][0]["embedding"]
    assert np.abs(np.array(vector) - model.encode(TEXTS[:1], prompt_name="document")[0]).max() < 1e-5


@pytest.mark.parametrize(
    ("file", "values"),
    [
        pytest.param(
            ENCODER_SETTINGS,
            {"max_seq_length": 8},
            id="max_seq_length",
            marks=pytest.mark.complaint(
                "huggingface/text-embeddings-inference#146",
                "vectors of texts above 256 tokens differ: the server reads on where sentence-transformers cuts",
                "texts are cut where sentence_bert_config.json says, in the manifest for every runtime",
            ),
        ),
        pytest.param(
            ENCODER_SETTINGS,
            {"do_lower_case": True},
            id="do_lower_case",
            marks=pytest.mark.complaint(
                "vllm-project/vllm#11184",
                "do_lower_case of sentence_bert_config.json is handed to the tokenizer: all capitals become unknown",
                "texts are lower-cased first, and the tokenizer does what its own files say besides",
            ),
        ),
        pytest.param(
            SETTINGS,
            {"truncate_dim": 10},
            id="truncate_dim",
            marks=pytest.mark.complaint(
                "michaelfeil/infinity#476",
                "a Matryoshka model's truncate_dim can't be asked for: vectors have their full size",
                "vectors have truncate_dim numbers, not normalized again, as encode() gives them",
            ),
        ),
        pytest.param(
            SETTINGS,
            {"prompts": {"query": "old song: "}, "default_prompt_name": "query"},
            id="default prompt",
            marks=pytest.mark.complaint(
                "huggingface/text-embeddings-inference#244",
                "a model that expects a prefix is served without it unless each client adds it",
                "the manifest has the prompts, the default one is put before a text, others by name",
            ),
        ),
    ],
)
def test_settings_are_followed(saved, file, values):
    directory, _ = saved(Pooling(WIDTH, "mean"), Normalize())
    cased = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": False}
    change(directory, "tokenizer.json", normalizer={**cased, "lowercase": False})
    texts = [*TEXTS, TEXTS[0].upper()]
    before = st.SentenceTransformer(str(directory), device="cpu").encode(texts)
    change(directory, file, **values)
    expected = st.SentenceTransformer(str(directory), device="cpu").encode(texts)
    assert expected.shape[1] != WIDTH or np.abs(expected - before).max() > 1e-3
    assert np.abs(loaded_vectors(directory, texts) - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("file", "values", "said"),
    [
        (SETTINGS, {"model_type": "SparseEncoder"}, "model_type 'SparseEncoder'"),
        (SETTINGS, {"default_prompt_name": "none"}, "default_prompt_name 'none' is none of"),
        (SETTINGS, {"similarity_fn_name": "maxsim"}, "similarity_fn_name 'maxsim'"),
        (ENCODER_SETTINGS, {"transformer_task": "fill-mask"}, "transformer_task 'fill-mask'"),
        (
            ENCODER_SETTINGS,
            {"modality_config": {"text": {"method": "forward", "method_output_name": "pooler_output"}}},
            "takes 'pooler_output'",
        ),
        (ENCODER_SETTINGS, {"query_length": 8}, "query_length 8 changes what the encoder reads"),
    ],
)
def test_settings_that_are_not_followed_are_refused_by_name(saved, file, values, said):
    directory, _ = saved(Pooling(WIDTH, "mean"))
    change(directory, file, **values)
    with pytest.raises(ModelError, match=said):
        load_model(directory)


@pytest.mark.complaint(
    "xlang-ai/instructor-embedding#18",
    "whether the instruction's tokens are pooled depends on the code path that one comes by",
    "a Pooling that leaves the prompt out is refused by name where the model has prompts",
)
def test_a_pooling_without_the_prompt_is_refused_where_there_is_one(saved):
    directory, model = saved(Pooling(WIDTH, "mean", include_prompt=False))
    assert np.abs(loaded_vectors(directory) - model.encode(TEXTS)).max() < 1e-5
    change(directory, SETTINGS, prompts={"query": "old song: "})
    with pytest.raises(ModelError, match=r"include_prompt false.*query"):
        load_model(directory)


def with_entry(directory: Path, kind: str) -> None:
    entries = json.loads((directory / "modules.json").read_text())
    (directory / "modules.json").write_text(json.dumps([*entries, {"idx": 2, "name": "2", "path": "2", "type": kind}]))


@pytest.mark.complaint(
    "MinishLab/model2vec#123",
    "a model of static embeddings comes with a config.json of another kind, and servers fail while they load it",
    "refused by the name of its module before config.json is read",
)
def test_a_directory_without_an_encoder_at_its_top_is_refused_by_its_first_module(encoder, tmp_path):
    table = StaticEmbedding(Tokenizer.from_file(str(encoder / "tokenizer.json")), embedding_dim=8)
    two_ways = Router({"query": [Transformer(str(encoder)), Pooling(WIDTH)], "document": [table]})
    for modules, said in (([table], "'StaticEmbedding'"), ([two_ways], "'Router'")):
        st.SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / said))
        with pytest.raises(ModelError, match=f"module {said}: "):
            load_model(tmp_path / said)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        pytest.param(
            "sentence_transformers.models.Asym",
            "'Asym': texts of two kinds go different ways",
            id="asymmetric",
            marks=pytest.mark.complaint(
                "huggingface/sentence-transformers#1807",
                "models whose two kinds of text go through different layers are saved like any other",
                "refused by the module's name, with what to do: the way of one kind as a model of its own",
            ),
        ),
        ("sentence_transformers.models.CNN", "'CNN'"),
        ("sentence_transformers.models.WeightedLayerPooling", "'WeightedLayerPooling': it mixes the hidden states"),
        ("custom_st.Projection", "code of the model's own, which is not run"),
    ],
)
def test_what_is_not_compiled_is_refused_by_name(saved, kind, said):
    directory, _ = saved(Pooling(WIDTH, "mean"))
    with_entry(directory, kind)
    with pytest.raises(ModelError, match=said):
        load_model(directory)
