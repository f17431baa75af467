"""Tiny real models: a BERT classifier with a WordPiece tokenizer as a Hugging Face directory, with rows for passes."""

import json
import random

import pytest

WORDS = "the a good bad film book was very not and plot actor great dull fine slow fun sad true best"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Two layers, 32 wide, 2 labels; weights random but large enough that inputs matter."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification

    directory = tmp_path_factory.mktemp("models") / "tiny-bert"
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS.split()])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, initializer_range=0.3, id2label={0: "negative", 1: "positive"},
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(directory)
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


@pytest.fixture(scope="session")
def tiny_adapter(tiny_model, tmp_path_factory):
    """A LoRA adapter that changes the tiny model."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(4)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_model)
    tuned = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["query", "value"]))
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    directory = tmp_path_factory.mktemp("adapters") / "tiny-lora"
    tuned.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def reviews(tmp_path_factory):
    """Evaluation and calibration rows for the tiny model, none in both."""
    random.seed(5)
    directory = tmp_path_factory.mktemp("data")
    paths = {}
    for name, count in (("evaluation", 24), ("calibration", 8)):
        rows = [
            {
                "text": f"{name[:4]} " + " ".join(random.choices(WORDS.split(), k=random.randint(2, 14))),
                "label": i % 2,
            }
            for i in range(count)
        ]
        paths[name] = directory / f"{name}.jsonl"
        paths[name].write_text("\n".join(map(json.dumps, rows)))
    return paths


@pytest.fixture(scope="package")
def model(tiny_model):
    from edgeformer.loading.load import load_model

    return load_model(tiny_model)


@pytest.fixture(scope="package")
def make_context(model, tmp_path_factory):
    """A function from a number of rows to a PassContext with (four fifths of) them for calibration."""
    from edgeformer.data.splits import read_data
    from edgeformer.passes.base import PassContext

    words = ("the", "a", "good", "bad", "film", "book", "was", "very", "not", "and", "plot", "actor", "great", "dull")

    def make(count, **others):
        generator = random.Random(11)
        path = tmp_path_factory.mktemp("rows") / "calibration.jsonl"
        rows = [{"text": " ".join(generator.choices(words, k=generator.randint(4, 20)))} for _ in range(count)]
        path.write_text("\n".join(map(json.dumps, rows)))
        return PassContext(data=read_data(model, 128, path, None), **others)

    return make


@pytest.fixture(scope="package")
def context(make_context):
    return make_context(120)
