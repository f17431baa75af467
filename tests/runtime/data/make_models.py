"""Make the model files of this folder, of a few kB each, so that tests need neither onnx nor litert-torch.

Run it on the host (Python 3.11 with the extras `onnx` and `tflite`): python tests/runtime/data/make_models.py

Both formats hold one function of input_ids and attention_mask [batch, sequence], int64:
    table[ids] -> [batch, sequence, 3]; logits = mean over the attended positions; token_logits = table[ids].
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "ann", "lives", "in", "rome", "milan", "##s", "."]
LABELS = 3


def table() -> np.ndarray:
    """One row of logits a word: float32 [words, 3]."""
    rows = np.zeros((len(WORDS), LABELS), dtype=np.float32)
    rows[WORDS.index("good")] = [0, 6, 0]
    rows[WORDS.index("bad")] = [6, 0, 0]
    for word, label in (("ann", 1), ("rome", 2), ("milan", 2), ("lives", 0), ("in", 0), (".", 0)):
        rows[WORDS.index(word), label] = 4
    rows[WORDS.index("##s")] = [0, 0, 9]
    return rows


def classifier_onnx() -> onnx.ModelProto:
    """Masked mean of the table's rows."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask3"]),
        helper.make_node("Mul", ["rows", "mask3"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["mask3", "one"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["logits"]),
    ]
    constants = {"last": np.array([2], np.int64), "one": np.array([1], np.int64)}
    return onnx_model(nodes, {"logits": ["batch", LABELS]}, constants)


def tokens_onnx() -> onnx.ModelProto:
    """The table's rows: one a token. The mask is an input that the graph doesn't use."""
    return onnx_model(
        [helper.make_node("Gather", ["table", "input_ids"], ["logits"])],
        {"logits": ["batch", "sequence", LABELS]},
    )


def answers_onnx() -> onnx.ModelProto:
    """Two columns of the table as start and end logits."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Gather", ["rows", "first"], ["start_logits"], axis=2),
        helper.make_node("Gather", ["rows", "second"], ["end_logits"], axis=2),
    ]
    constants = {"first": np.array(1, np.int64), "second": np.array(2, np.int64)}
    shape = ["batch", "sequence"]
    return onnx_model(nodes, {"start_logits": shape, "end_logits": shape}, constants)


def onnx_model(nodes, outputs, constants=None) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask")
    ]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    values = {"table": table(), **(constants or {})}
    graph = helper.make_graph(
        nodes, "tiny", inputs, infos, [numpy_helper.from_array(value, name) for name, value in values.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def external_onnx() -> onnx.ModelProto:
    """A table that claims to lie in a file outside the bundle."""
    model = tokens_onnx()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../secret.bin"
    return model


def classifier_tflite(path: Path, lengths: tuple[int, ...]) -> None:
    """The classifier with one static signature a length, "seq8" and so on."""
    import litert_torch
    import torch

    class Classifier(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding.from_pretrained(torch.from_numpy(table()))

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
            mask = attention_mask.to(torch.float32)[:, :, None]
            return {"logits": (self.table(input_ids) * mask).sum(1) / mask.sum(1)}

    module = Classifier().eval()
    converter = litert_torch
    for length in lengths:
        # Two tensors: were they one object, the exporter would take the two inputs for one.
        names = ("input_ids", "attention_mask")
        feeds = {name: torch.ones((1, length), dtype=torch.int64) for name in names}
        converter = converter.signature(f"seq{length}", module, sample_kwargs=feeds)
    converter.convert().export(str(path))


def tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = {word: index for index, word in enumerate(WORDS)}
    made = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.save(str(path))


if __name__ == "__main__":
    for name, model in (
        ("classifier", classifier_onnx()),
        ("tokens", tokens_onnx()),
        ("answers", answers_onnx()),
        ("external", external_onnx()),
    ):
        (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())
    tokenizer(HERE / "tokenizer.json")
    np.save(str(HERE / "table.npy"), table())
    classifier_tflite(HERE / "classifier.tflite", (8, 16))
