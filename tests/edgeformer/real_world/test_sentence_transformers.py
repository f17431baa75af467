"""Directories that sentence-transformers saved: the reference is its own ``encode`` and ``predict``."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import sentence_transformers as st
import torch
import transformers
from kit import SMALL, compile_model, predictions, seeded, sentences, wordpiece
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Normalize, Pooling

from edgeformer.errors import ModelError
from edgeformer.model import load_model
from edgeformer.sentences.pooling import POOLING_MODES

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
    from edgeformer.encoding import encode
    from edgeformer.samples import Sample, Samples

    model = load_model(directory)
    rows = Samples(str(directory), tuple(Sample(text, None, None) for text in texts), False, "", "")
    feeds = encode(model, rows, model.max_length).feeds
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
    assert manifest["outputs"][0]["shape"] == ["batch", 24]
    for variant in manifest["variants"]:
        assert variant["verification"]["cosine_min"] > 0.99999
        if variant["format"] in ("onnx", "tflite"):
            found = embeddings(tmp_path / "bundle", variant=variant["name"])
            assert np.abs(found - model.encode(TEXTS)).max() < 1e-5


def test_older_flags_of_poolings_are_joined_in_the_old_order(saved):
    directory, model = saved(Pooling(WIDTH, ("cls", "max", "mean")))
    flags = {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True,
             "pooling_mode_cls_token": True, "pooling_mode_lasttoken": False}  # fmt: skip
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(flags))
    assert np.abs(loaded_vectors(directory) - model.encode(TEXTS)).max() < 1e-5


def test_the_encoder_lies_where_modules_json_says(saved):
    directory, model = saved(Pooling(WIDTH, "mean"))
    (directory / "0_Transformer").mkdir()
    for path in list(directory.iterdir()):
        if path.is_file() and path.name not in ("modules.json", "config_sentence_transformers.json"):
            shutil.move(path, directory / "0_Transformer" / path.name)
    entries = json.loads((directory / "modules.json").read_text())
    entries[0]["path"] = "0_Transformer"
    for entry in entries:  # the names of releases before 5.4
        entry["type"] = f"sentence_transformers.models.{entry['type'].rpartition('.')[2]}"
    (directory / "modules.json").write_text(json.dumps(entries))
    assert np.abs(loaded_vectors(directory) - model.encode(TEXTS)).max() < 1e-5


def with_entry(directory: Path, kind: str) -> None:
    entries = json.loads((directory / "modules.json").read_text())
    (directory / "modules.json").write_text(json.dumps([*entries, {"idx": 2, "name": "2", "path": "2", "type": kind}]))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("sentence_transformers.models.Asym", "'Asym': texts of two kinds go different ways"),
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
