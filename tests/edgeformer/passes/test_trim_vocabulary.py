"""trim_vocabulary on whole models: changed, unchanged, refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from edgeformer.data.splits import read_data
from edgeformer.errors import InputError, ModelError, RecipeError, SamplesError
from edgeformer.loading.load import load_model
from edgeformer.model.base import from_module
from edgeformer.passes.base import PassContext, run_passes
from edgeformer.passes.quantize import Quantize
from edgeformer.passes.trim_vocabulary import TrimVocabulary
from edgeformer.recipe import Recipe
from edgeformer.stages import Stages
from edgeformer.variants.verification import run_torch
from edgeformer.vocabulary.tables import input_table, trim_tables
from edgeformer_converters.ops import QuantizedEmbedding

LETTERS = [chr(ord("a") + index) for index in range(26)]
WORDS = "the a good bad film book was very not and plot actor great dull fine slow fun sad true best"
ORDINARY = [*WORDS.split()[2:], *LETTERS, *("##" + letter for letter in LETTERS)]


def save(directory: Path, module: torch.nn.Module, tokenizer: Tokenizer | str) -> Path:
    module.save_pretrained(directory)
    text = tokenizer if isinstance(tokenizer, str) else tokenizer.to_str()
    (directory / "tokenizer.json").write_text(text, encoding="utf-8")
    return directory


def bert(**settings):
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(3)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(**sizes, max_position_embeddings=64, initializer_range=0.3, **settings)
    return BertForSequenceClassification(config)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A BERT whose special tokens come after ordinary ones, as in real vocabularies; 8 rows of no token."""
    from tokenizers import models, normalizers, pre_tokenizers, processors

    pieces = [*ORDINARY[:6], "[PAD]", "[UNK]", "[CLS]", "[SEP]", *ORDINARY[6:]]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 9), ("[CLS]", 8))
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    module = bert(vocab_size=len(pieces) + 8, pad_token_id=6)
    return save(tmp_path_factory.mktemp("trim") / "model", module, tokenizer)


@pytest.fixture(scope="module")
def model(directory):
    return load_model(directory)


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("A good film\n\nvery very dull\n", encoding="utf-8")
    return str(path)


def feeds(model, text):
    ids = np.array([Tokenizer.from_str(model.tokenizer).encode(text).ids])
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def same_outputs(first, second, *texts):
    a, b = (run_torch(model, [feeds(model, text) for text in texts]) for model in (first, second))
    return all(np.allclose(x["logits"], y["logits"], atol=1e-6) for x, y in zip(a, b, strict=True))


def test_table_tokenizer_and_every_id_move_together(model, corpus):
    before = model.digest()
    result = run_passes(model, [TrimVocabulary(corpora=(corpus,))], PassContext())
    new, facts = result.model, result.records[0].facts
    assert model.digest() == before
    assert facts["kept_by_rule"] == {
        "special_and_configured": 4, "characters_and_essential": 52, "used": 4, "first": 0,
    }  # fmt: skip
    kept = 60
    table, old = input_table(new.module), input_table(model.module)
    tokenizer = Tokenizer.from_str(new.tokenizer)
    assert facts["tokens_after"] == table.num_embeddings == tokenizer.get_vocab_size() == kept
    assert new.module.config.vocab_size == kept
    for token, index in tokenizer.get_vocab().items():
        old_index = Tokenizer.from_str(model.tokenizer).token_to_id(token)
        assert torch.equal(table.weight[index], old.weight[old_index])
    pad = tokenizer.token_to_id("[PAD]")
    assert pad < 6
    assert (
        pad
        == new.signature.pad_token_id
        == new.inputs[0].pad_value
        == new.module.config.pad_token_id
        == table.padding_idx
    )
    assert int(new.example_inputs[0].max()) < kept
    assert facts["bytes_saved_float32"] == (old.num_embeddings - kept) * 32 * 4
    assert facts["corpora"]["share_of_tokens_kept"] == 1
    assert same_outputs(model, new, "a good film", "very dull zzz", "very x y z a good")
    assert not same_outputs(model, new, "a fine book")


def test_unreadable_stays_as_it_was_and_the_rest_readable(model, corpus):
    new = TrimVocabulary(corpora=(corpus,)).run(model, PassContext()).model
    tokenizer = Tokenizer.from_str(new.tokenizer)
    assert tokenizer.encode("book é", add_special_tokens=False).tokens == ["b", "##o", "##o", "##k", "[UNK]"]


def test_rows_of_the_compile_count_and_validation_measures(model, tmp_path):
    rows = [{"text": f"good film {ORDINARY[i % 18]} row{i}", "label": i % 2} for i in range(60)]
    path = tmp_path / "training.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    judged = tmp_path / "evaluation.jsonl"
    judged.write_text("\n".join(json.dumps({"text": f"book {i}", "label": i % 2}) for i in range(6)))
    data = read_data(model, 128, None, judged, path)
    facts = TrimVocabulary(min_count=5).run(model, PassContext(data=data)).facts
    assert [source["source"] for source in facts["sources"]] == ["calibration rows", "training rows"]
    held_out = facts["held_out"]
    assert held_out["source"] == "validation rows"
    assert held_out["texts"] == len(data.validation)
    assert held_out["mean_tokens_after"] > held_out["mean_tokens_before"]
    assert held_out["unknown_tokens_after"] <= held_out["unknown_tokens_before"]


def test_evaluation_rows_in_a_corpus_do_not_count(model, tmp_path):
    judged = tmp_path / "evaluation.jsonl"
    judged.write_text('{"text": "a sad Plot", "label": 0}\n{"text": "best", "label": 1}')
    text = tmp_path / "corpus.txt"
    text.write_text("A sad  plot\ngood")
    data = read_data(model, 128, None, judged)
    result = TrimVocabulary(corpora=(str(text),)).run(model, PassContext(data=data))
    assert result.facts["sources"][0]["rows_shared_with_evaluation_left_out"] == 1
    assert "sad" not in Tokenizer.from_str(result.model.tokenizer).get_vocab()


def test_limits(model, corpus):
    run = TrimVocabulary(corpora=(corpus,), max_tokens=57).run(model, PassContext())
    assert run.facts["tokens_after"] == 57
    assert "very" in Tokenizer.from_str(run.model.tokenizer).get_vocab()  # twice; the others once
    assert TrimVocabulary(corpora=(corpus,), min_count=2).run(model, PassContext()).facts["kept_by_rule"]["used"] == 1
    first = TrimVocabulary(corpora=(corpus,), keep_first=3).run(model, PassContext()).model
    assert {ORDINARY[0], ORDINARY[1], ORDINARY[2]} <= Tokenizer.from_str(first.tokenizer).get_vocab().keys()
    with pytest.raises(RecipeError, match=r"max_tokens = 20: 56 tokens must stay.*Give 56 or more"):
        TrimVocabulary(corpora=(corpus,), max_tokens=20).run(model, PassContext())


def test_a_killed_run_resumes(model, corpus, tmp_path):
    for resumed in (False, True):
        stages = Stages(tmp_path / "cache")
        TrimVocabulary(corpora=(corpus,)).run(model, PassContext(stages=stages))
        assert [record.resumed for record in stages.records] == [resumed]


def test_unchanged_where_nothing_can_go(tiny_model, corpus):
    """A WordPiece of whole words: without a word's own letters as pieces it would become unreadable."""
    model = load_model(tiny_model)
    result = TrimVocabulary(corpora=(corpus,)).run(model, PassContext())
    tokens = Tokenizer.from_str(model.tokenizer).get_vocab_size()
    assert result.facts["tokens_after"] == tokens
    assert input_table(result.model.module).num_embeddings == tokens  # only rows without a token went
    again = TrimVocabulary(corpora=(corpus,)).run(result.model, PassContext())
    assert not again.changed
    assert again.model is result.model


def test_quantize_comes_after(model, corpus):
    steps = [TrimVocabulary(corpora=(corpus,)), Quantize()]
    table = run_passes(model, steps, PassContext()).model.module.get_input_embeddings()
    assert (type(table), table.num_embeddings) == (QuantizedEmbedding, 60)
    with pytest.raises(RecipeError, match=r"trim_vocabulary \(after quantize\).*put trim_vocabulary before quantize"):
        run_passes(model, steps[::-1], PassContext())


def test_roberta_counts_positions_from_padding(tmp_path, corpus):
    from tokenizers import models, pre_tokenizers, processors
    from transformers import RobertaConfig, RobertaForSequenceClassification

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["go", "<pad>", "</s>", "<unk>", "<s>", *alphabet, "fi", "lm", "du", "film", "Ġfilm", "Ġf", "Ġfi"]
    merges = [("g", "o"), ("f", "i"), ("l", "m"), ("d", "u"), ("Ġ", "fi"), ("fi", "lm"), ("Ġfi", "lm")]
    tokenizer = Tokenizer(models.BPE({piece: index for index, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 4))
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>", "<s>"])
    torch.manual_seed(3)
    config = RobertaConfig(
        vocab_size=len(pieces), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=40, initializer_range=0.3, pad_token_id=1, bos_token_id=4, eos_token_id=2,
    )  # fmt: skip
    model = load_model(save(tmp_path / "roberta", RobertaForSequenceClassification(config), tokenizer))
    result = TrimVocabulary(corpora=(corpus,)).run(model, PassContext())
    new = result.model
    vocabulary = Tokenizer.from_str(new.tokenizer).get_vocab()
    assert vocabulary["go"] == 0  # unused, but it holds the padding's place
    assert vocabulary["<pad>"] == new.signature.pad_token_id == 1
    assert "du" in vocabulary  # used in "dull"
    assert new.max_length == model.max_length
    assert same_outputs(model, new, "A good film", "unseen text é 🦓")
    padded = feeds(new, "A good film")
    longer = {
        k: np.pad(v, ((0, 0), (0, 5)), constant_values=p) for (k, v), p in zip(padded.items(), (1, 0), strict=True)
    }
    short, long = run_torch(new, [padded, longer])
    assert np.allclose(short["logits"], long["logits"], atol=1e-5)


def test_a_family_that_uses_ids_as_numbers_is_refused(model, corpus):
    class Numeric(type(model.module)):
        def forward(self, input_ids=None, **rest):
            result = super().forward(input_ids=input_ids, **rest)
            result.logits = result.logits + input_ids.sum(1, keepdim=True)
            return result

    module = model.copy_module()
    module.__class__ = Numeric
    with pytest.raises(ModelError, match="uses ids as numbers"):
        TrimVocabulary(corpora=(corpus,)).run(model.with_module(module), PassContext())


def test_tied_heads_stay_tied_and_others_are_refused():
    from transformers import BertConfig, BertForMaskedLM

    from edgeformer.vocabulary.tables import check_outputs

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    module = BertForMaskedLM(BertConfig(**sizes, vocab_size=30)).eval()
    check_outputs(module)
    ids = torch.tensor([[1, 4, 9]])
    with torch.no_grad():
        before = module(ids).logits
        trim_tables(module, [0, 1, 4, 9, 20])
        after = module(torch.tensor([[1, 2, 3]])).logits
    assert module.get_output_embeddings().weight is module.get_input_embeddings().weight
    assert torch.allclose(after, before[..., [0, 1, 4, 9, 20]], atol=1e-6)
    module.get_output_embeddings().weight = torch.nn.Parameter(torch.zeros(5, 16))
    with pytest.raises(ModelError, match="not tied"):
        check_outputs(module)


def test_refused_without_tokenizer_or_table_or_text(model, directory, tmp_path):
    step = TrimVocabulary()
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        step.requires(from_module(torch.nn.Linear(4, 4), {"x": torch.ones(1, 4)}), PassContext())
    with pytest.raises(InputError, match="has no text"):
        step.run(model, PassContext())
    with pytest.raises(SamplesError, match=r"corpora: .*missing\.txt"):
        TrimVocabulary(corpora=(str(tmp_path / "missing.txt"),)).run(model, PassContext())
    with pytest.raises(SamplesError, match=r"corpora: .*missing\.csv"):
        TrimVocabulary(corpora=(str(tmp_path / "missing.csv"),)).run(model, PassContext())
    with pytest.raises(ModelError, match=r"the embedding only 20 rows"):
        step.requires(model.with_module(bert(vocab_size=20, pad_token_id=6)), PassContext())


@pytest.mark.parametrize(
    "settings", [{"min_count": 0}, {"max_tokens": 0}, {"keep_first": -1}, {"use_rows": False}], ids=str
)
def test_refused_settings(settings):
    with pytest.raises(RecipeError, match="trim_vocabulary"):
        TrimVocabulary(**settings)


def test_recipe_round_trip():
    recipe = Recipe(steps=(TrimVocabulary(corpora=("a.txt",), max_tokens=9000),))
    assert Recipe.from_toml(recipe.to_toml()) == recipe
