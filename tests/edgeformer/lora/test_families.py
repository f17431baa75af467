"""Every family that loads, every head, peft's defaults: the merged model against peft's own, from base model to logits.

The base is saved without a head, as it is fetched; peft's config says the task and nothing else, but for the names of
the attention's projections where peft knows none for the family. Where peft's defaults leave a part of the head
unsaved, nothing can be right but to name it.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from edgeformer.errors import AdapterError
from edgeformer.loading.load import load_model
from edgeformer.passes.base import PassContext
from edgeformer.passes.merge_lora import AdapterSource, MergeLora

peft = pytest.importorskip("peft")

pytestmark = pytest.mark.filterwarnings("ignore")

BERT = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "vocab_size": 120,
    "max_position_embeddings": 40,
}  # fmt: skip
SMALL_EMBEDDING = {**BERT, "embedding_size": 8}
# family: its config, and the names of its attention's projections where peft has no default for them
FAMILIES: dict[str, tuple[dict[str, Any], list[str] | None]] = {
    "bert": (BERT, None),
    "distilbert": (
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "vocab_size": 120, "max_position_embeddings": 40},
        ["q_lin", "v_lin"],
    ),
    "roberta": (BERT, None),
    "xlm-roberta": (BERT, None),
    "camembert": (BERT, ["query", "value"]),
    "mpnet": (BERT, ["q", "v"]),
    "electra": (SMALL_EMBEDDING, None),
    "albert": (SMALL_EMBEDDING, ["query", "value"]),
    "modernbert": ({**BERT, "pad_token_id": 0, "cls_token_id": 1, "sep_token_id": 2}, ["Wqkv"]),
    "roformer": ({**BERT, "embedding_size": 16}, ["query", "value"]),
    "squeezebert": (
        {
            **BERT, "embedding_size": 16, "q_groups": 1, "k_groups": 1, "v_groups": 1, "post_attention_groups": 1,
            "intermediate_groups": 1, "output_groups": 1,
        },
        ["query", "value"],
    ),
    "mobilebert": (
        {
            **SMALL_EMBEDDING, "true_hidden_size": 16, "intra_bottleneck_size": 16, "num_feedforward_networks": 1
        },
        ["query", "value"],
    ),
    "ernie": (BERT, ["query", "value"]),
    "rembert": ({**BERT, "input_embedding_size": 8, "output_embedding_size": 8}, ["query", "value"]),
    "big_bird": ({**BERT, "attention_type": "original_full"}, ["query", "value"]),
    "megatron-bert": (BERT, ["query", "value"]),
    "roberta-prelayernorm": (BERT, ["query", "value"]),
    "xlm-roberta-xl": (BERT, ["query", "value"]),
    "deberta": ({**BERT, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}, None),
    "deberta-v2": (
        {
            **BERT, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8,
            "share_att_key": True, "norm_rel_ebd": "layer_norm",
        },
        None,
    ),
    "data2vec-text": (BERT, ["query", "value"]),
    "xlnet": ({"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 24, "vocab_size": 120}, ["layer_1", "layer_2"]),
    "xlm": ({"emb_dim": 16, "n_layers": 2, "n_heads": 2, "vocab_size": 120}, ["q_lin", "v_lin"]),
    "flaubert": ({"emb_dim": 16, "n_layers": 2, "n_heads": 2, "vocab_size": 120}, ["q_lin", "v_lin"]),
    "esm": (
        {**BERT, "pad_token_id": 1, "mask_token_id": 4, "position_embedding_type": "rotary"}, ["query", "value"]
    ),
    "eurobert": ({**BERT, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}, ["q_proj", "v_proj"]),
}  # fmt: skip
HEADS = {
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "QUESTION_ANS": "AutoModelForQuestionAnswering",
    "FEATURE_EXTRACTION": "AutoModel",
}
# What peft's default modules_to_save leave out, with the layers that are then in no file.
LOST = {
    ("modernbert", "SEQ_CLS"): "head.dense, head.norm are neither",
    ("modernbert", "TOKEN_CLS"): "head.dense, head.norm are neither",
    ("modernbert", "QUESTION_ANS"): "classifier, head.dense, head.norm are neither",
    ("big_bird", "QUESTION_ANS"): "qa_classifier.intermediate.dense, ",
}
LOST |= {
    (family, "SEQ_CLS"): f"{layer} neither"
    for family, layer in {
        "deberta": "pooler.dense is", "deberta-v2": "pooler.dense is", "xlm": "sequence_summary.summary is",
        "flaubert": "sequence_summary.summary is", "xlnet": "logits_proj, sequence_summary.summary are",
        "eurobert": "dense is",
    }.items()
}  # fmt: skip
ABSENT = {
    ("squeezebert", "FEATURE_EXTRACTION"),  # its encoder doesn't run without its pooler, which embeddings don't need
    ("esm", "QUESTION_ANS"), ("eurobert", "QUESTION_ANS"),  # transformers has no such head
}  # fmt: skip
CASES = [(family, task) for family in FAMILIES for task in HEADS if (family, task) not in ABSENT]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A directory with the headless model of each family, made when first asked for."""
    made: dict[str, Path] = {}

    def base(family: str) -> Path:
        if family not in made:
            made[family] = tmp_path_factory.mktemp(family)
            torch.manual_seed(0)
            model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(family, **FAMILIES[family][0]))
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.mul_(3.0 if parameter.dim() > 1 else 1.0)  # so that every layer has a say
            model.save_pretrained(made[family])
        return made[family]

    return base


def tune(base: Path, task: str, path: Path, **config: Any) -> Any:
    """peft's model on ``base`` with a fresh head, all that is trainable moved, saved to ``path``."""
    extra = {"num_labels": 3} if "CLS" in task else {}
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = getattr(transformers, HEADS[task]).from_pretrained(base, attn_implementation="eager", **extra)
        tuned = peft.get_peft_model(model, peft.LoraConfig(task_type=task, **config))
    for _, parameter in tuned.named_parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn(parameter.shape)
    tuned.eval().save_pretrained(path)
    return tuned


def outputs(module: Any) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(5, 100, (2, 12), generator=generator)
    with torch.no_grad():
        found = module(input_ids=ids, attention_mask=torch.ones_like(ids))
    return [found.start_logits, found.end_logits] if "start_logits" in found else [found[0]]


def merged(base: Path, adapter: Path, **options: Any) -> Any:
    model = load_model(base, adapters=[adapter], **options)
    return MergeLora((AdapterSource(str(adapter)),)).run(model, PassContext()).model


@pytest.mark.parametrize(("family", "task"), CASES, ids=[f"{family}-{task}" for family, task in CASES])
def test_defaults_of_peft(family: str, task: str, bases: Any, tmp_path: Path) -> None:
    names = FAMILIES[family][1]
    known = peft.utils.constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
    assert (names is None) == (family in known), "the table states names that peft has, or lacks some that it hasn't"
    tuned = tune(bases(family), task, tmp_path, target_modules=names)
    if (family, task) in LOST:
        with pytest.raises(AdapterError) as error:
            merged(bases(family), tmp_path)
        assert LOST[family, task] in str(error.value)
        assert "train again with modules_to_save=[" in str(error.value)
        return
    model = merged(bases(family), tmp_path)
    assert not model.untrained
    assert len(model.task.labels) == (3 if "CLS" in task else 0)
    for got, expected in zip(outputs(model.module), outputs(tuned), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(("family", "task"), LOST, ids=[f"{family}-{task}" for family, task in LOST])
def test_the_advice_for_a_lost_head_helps(family: str, task: str, bases: Any, tmp_path: Path) -> None:
    """Training with the modules that the refusal names gives an adapter that merges."""
    names = FAMILIES[family][1]
    tune(bases(family), task, tmp_path / "first", target_modules=names)
    with pytest.raises(AdapterError) as error:
        merged(bases(family), tmp_path / "first")
    advised = str(error.value).rpartition("modules_to_save=[")[2].rstrip("]").replace("'", "").split(", ")
    tuned = tune(bases(family), task, tmp_path / "second", target_modules=names, modules_to_save=advised)
    for got, expected in zip(outputs(merged(bases(family), tmp_path / "second").module), outputs(tuned), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=2e-5)


def test_a_base_that_was_saved_with_its_head_needs_no_more(bases: Any, tmp_path: Path) -> None:
    torch.manual_seed(3)
    base = tmp_path / "base"
    transformers.AutoModelForSequenceClassification.from_pretrained(bases("modernbert"), num_labels=3).save_pretrained(
        base
    )
    tuned = tune(base, "SEQ_CLS", tmp_path / "adapter", target_modules=["Wqkv"])
    model = merged(base, tmp_path / "adapter")
    torch.testing.assert_close(outputs(model.module)[0], outputs(tuned)[0], rtol=1e-5, atol=2e-5)


def test_a_pooler_that_embeddings_do_not_use_is_left_out_and_named(bases: Any, tmp_path: Path) -> None:
    tuned = tune(bases("bert"), "FEATURE_EXTRACTION", tmp_path, target_modules="all-linear")
    said: list[str] = []
    model = load_model(bases("bert"), adapters=[tmp_path])
    result = MergeLora((AdapterSource(str(tmp_path)),)).run(model, PassContext(progress=said.append))
    torch.testing.assert_close(outputs(result.model.module)[0], outputs(tuned)[0], rtol=1e-5, atol=2e-5)
    assert any("not used: pooler.dense" in line for line in said), said
