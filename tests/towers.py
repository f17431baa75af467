"""Tiny models of two towers in directories as transformers saves them, trained for seconds to tell three colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 220)}
TEMPLATE = "a picture of {}."
SIZE, WIDTH = 32, 32
_BLOCKS = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
_VISION = {**_BLOCKS, "image_size": SIZE, "patch_size": 8}
POSITIONS = 16


def picture(colour: str, seed: int) -> Image.Image:
    """A square of a colour with noise, on grey."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(90, 160, (40, 48, 3))
    pixels[8:32, 8:40] = np.asarray(COLOURS[colour]) + rng.integers(-35, 35, (24, 32, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def folders(root: Path, rows: int, seed: int) -> Path:
    """``rows`` pictures of each colour, in a folder for each."""
    for number, colour in enumerate(COLOURS):
        (root / colour).mkdir(parents=True, exist_ok=True)
        for index in range(rows):
            picture(colour, seed + 100 * number + index).save(root / colour / f"{index}.png")
    return root


def save(family: str, path: Path) -> Path:
    """A model of ``family`` ("clip" or "siglip") with its processor in the folder ``path``."""
    import transformers

    tokenizer = _tokenizer(family, path)
    text = {**_BLOCKS, "vocab_size": len(tokenizer), "max_position_embeddings": POSITIONS,
            "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": 0}  # not what the tokenizer pads with, whose word counts  # fmt: skip
    torch.manual_seed(0)
    if family == "clip":
        config: Any = transformers.CLIPConfig(text_config=text, vision_config=_VISION, projection_dim=24)
        model: Any = transformers.CLIPModel(config)
        processor: Any = transformers.CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=SIZE)
    else:
        config = transformers.SiglipConfig(text_config={**text, "projection_size": WIDTH}, vision_config=_VISION)
        model = transformers.SiglipModel(config)
        processor = transformers.SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE})
    _train(model, tokenizer, processor, family)
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return path


def _tokenizer(family: str, path: Path) -> Any:
    """Byte-level BPE as CLIP's, or words as lower case, learned from the labels' texts."""
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    specials = ["<|startoftext|>", "<|endoftext|>", "<unk>", "<pad>"]
    made = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    texts = [TEMPLATE.replace("{}", colour) for colour in COLOURS] * 4 + [
        "the quick brown fox jumps over lazy dogs 019"
    ]
    made.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=150, special_tokens=specials))
    ends = [(token, made.token_to_id(token)) for token in specials[:2]]
    both = "<|startoftext|> $A <|endoftext|>" if family == "clip" else "$A <|endoftext|>"
    made.post_processor = processors.TemplateProcessing(single=both, special_tokens=ends)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=specials[0], eos_token=specials[1], unk_token=specials[2],
        pad_token=specials[3 if family == "siglip" else 1],  # CLIP's is its end token
        model_max_length=POSITIONS,
    )  # fmt: skip
    fast.save_pretrained(path)
    return fast


def _train(model: Any, tokenizer: Any, processor: Any, family: str) -> None:
    labels = list(COLOURS)
    texts = [TEMPLATE.replace("{}", label) for label in labels]
    ids = tokenizer(texts, padding="max_length", max_length=POSITIONS, return_tensors="pt")["input_ids"]
    rows = [picture(label, 10_000 + 7 * index) for index in range(16) for label in labels]
    pixels = processor(rows, return_tensors="pt")["pixel_values"]
    wanted = torch.arange(len(labels)).repeat(16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(40):
        logits = model(input_ids=ids, pixel_values=pixels).logits_per_image
        loss = torch.nn.functional.cross_entropy(logits, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
