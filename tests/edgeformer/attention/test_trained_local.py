"""Families trained local: equal to transformers' own implementation, and no n x n matrix where a layer is local."""

import copy

import numpy as np
import pytest
import torch

from edgeformer.attention import is_local, keep_windows
from edgeformer.errors import InputError, ModelError
from edgeformer.tasks import get_task
from edgeformer.tasks.module import TaskModule, TaskOptions
from edgeformer_converters.ops import LocalAttention, LocalPattern
from edgeformer_runtime.bundle.manifest import TaskSpec

LENGTH = 70
SHAPE = {"vocab_size": 60, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}
LAYERS = {"num_hidden_layers": 3, "max_position_embeddings": 128, "pad_token_id": 1, "initializer_range": 0.3}
PLAIN = {"bos_token_id": 0, "eos_token_id": 2}


def modernbert(head, **settings):
    from transformers import ModernBertConfig

    config = ModernBertConfig(
        **SHAPE, **LAYERS, **PLAIN, cls_token_id=0, sep_token_id=2, local_attention=12,
        global_attn_every_n_layers=3, num_labels=3, **settings,
    )  # fmt: skip
    return build(f"ModernBert{head}", config)


def longformer(head, **settings):
    from transformers import LongformerConfig

    window = settings.pop("attention_window", [8, 16, 8])
    config = LongformerConfig(**SHAPE, **LAYERS, **PLAIN, attention_window=window, num_labels=3, **settings)
    return build(f"Longformer{head}", config)


def mistral(head, **settings):
    from transformers import MistralConfig

    settings = {"sliding_window": 9, "num_key_value_heads": 2, **settings}
    return build(f"Mistral{head}", MistralConfig(**SHAPE, **LAYERS, **PLAIN, num_labels=3, **settings))


def gemma3(head, **settings):
    from transformers import Gemma3TextConfig

    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    settings = {"sliding_window": 9, "num_key_value_heads": 2, "head_dim": 8, "layer_types": kinds, **settings}
    config = Gemma3TextConfig(**SHAPE, **LAYERS, **PLAIN, num_labels=3, **settings)
    return build(f"Gemma3Text{head}", config)


def build(name, config):
    import transformers

    torch.manual_seed(5)
    config._attn_implementation = "eager"
    return getattr(transformers, name)(config).eval()


def rows(length=LENGTH):
    """Two rows of tokens, the second with padding at its end."""
    ids = torch.from_numpy(np.random.default_rng(2).integers(3, 60, (2, length)))
    mask = torch.ones_like(ids)
    mask[1, 41:] = 0
    return torch.where(mask > 0, ids, 1), mask


def as_a_task(module, task):
    """The module behind TaskModule, with its windows kept."""
    local, windows = keep_windows(copy.deepcopy(module), task)
    return TaskModule(
        local, get_task(TaskSpec(task)), ("input_ids", "attention_mask"), TaskOptions(normalize=False)
    ).eval(), windows


CASES = [
    (modernbert, "ForSequenceClassification", "text-classification", {"classifier_pooling": "cls"}, 2),
    (modernbert, "ForSequenceClassification", "text-classification", {"classifier_pooling": "mean"}, 2),
    (modernbert, "ForTokenClassification", "token-classification", {}, 2),
    (modernbert, "Model", "feature-extraction", {}, 2),
    (longformer, "ForSequenceClassification", "text-classification", {}, 3),
    (longformer, "ForTokenClassification", "token-classification", {}, 3),
    (longformer, "Model", "feature-extraction", {}, 3),
    (mistral, "ForSequenceClassification", "text-classification", {}, 3),
    (mistral, "ForSequenceClassification", "text-classification", {"sliding_window": None}, 0),
    (mistral, "ForSequenceClassification", "text-classification", {"sliding_window": 500}, 3),
    (mistral, "ForTokenClassification", "token-classification", {}, 3),
    (gemma3, "ForSequenceClassification", "text-classification", {}, 2),
    (gemma3, "ForSequenceClassification", "text-classification", {"use_bidirectional_attention": True}, 2),
    (gemma3, "Model", "feature-extraction", {"use_bidirectional_attention": True}, 2),
]


@pytest.mark.parametrize(("family", "head", "task", "settings", "local_layers"), CASES)
def test_equals_transformers_own_implementation(family, head, task, settings, local_layers):
    module = family(head, **settings)
    ids, mask = rows()
    task_module, windows = as_a_task(module, task)
    assert len(windows) == local_layers
    with torch.no_grad():
        theirs = module(input_ids=ids, attention_mask=mask)
        ours = task_module(ids, mask)[0]
    if task == "feature-extraction":
        weights = mask[:, :, None].float()
        expected = (theirs.last_hidden_state * weights).sum(1) / weights.sum(1)
    else:
        expected = theirs.logits
    if task == "token-classification":
        ours, expected = ours[mask > 0], expected[mask > 0]
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", [modernbert, mistral, gemma3])
def test_the_window_matters_for_these_inputs(family):
    """Else the comparison above would also pass with full attention."""
    module = family("ForSequenceClassification")
    ids, mask = rows()
    wide = copy.deepcopy(module)
    full, _ = as_a_task(wide, "text-classification")
    for part in full.modules():
        if isinstance(part, LocalAttention):
            part.pattern = LocalPattern(200, 0 if part.pattern.causal else 200, causal=part.pattern.causal)
    local, _ = as_a_task(module, "text-classification")
    with torch.no_grad():
        assert (full(ids, mask)[0] - local(ids, mask)[0]).abs().max() > 1e-3


def test_a_masked_copy_of_modernbert_without_its_windows_differs():
    """What TaskModule's padding mask alone would give: transformers passes a 4-D mask on as it is."""
    module = modernbert("ForSequenceClassification", classifier_pooling="cls")
    ids, mask = rows()
    bare = TaskModule(
        module, get_task(TaskSpec("text-classification")), ("input_ids", "attention_mask"), TaskOptions()
    ).eval()
    with torch.no_grad():
        assert (bare(ids, mask)[0] - module(input_ids=ids, attention_mask=mask).logits).abs().max() > 1e-3


def test_the_same_results_with_a_two_dimensional_mask():
    module = modernbert("ForSequenceClassification", classifier_pooling="mean")
    ids, mask = rows()
    local, _ = keep_windows(copy.deepcopy(module), "text-classification")
    with torch.no_grad():
        expected = module(input_ids=ids, attention_mask=mask).logits
        torch.testing.assert_close(local(input_ids=ids, attention_mask=mask).logits, expected, atol=1e-4, rtol=0)


def test_global_layers_stay_as_they_are():
    module, windows = keep_windows(modernbert("Model"), "feature-extraction")
    assert sorted(windows) == ["layers.1.attn", "layers.2.attn"]
    assert [is_local(layer.attn) for layer in module.layers] == [False, True, True]
    assert module.layers[1].attn.edgeformer_attention.pattern == LocalPattern(6, 6)


@pytest.mark.parametrize(
    ("family", "settings"),
    [(modernbert, {}), (longformer, {}), (mistral, {}), (gemma3, {"layer_types": ["sliding_attention"] * 3})],
)
def test_local_layers_make_no_square_matrix(family, settings):
    """Every intermediate result of a model without global layers stays below length x length."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        square = False

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            for item in result if isinstance(result, tuple | list) else [result]:
                if isinstance(item, torch.Tensor) and list(item.shape).count(LENGTH) > 1:
                    self.square = True
            return result

    module = family("Model", **settings)
    if family is modernbert:
        module = without_global_layers(module)
    task_module, _ = as_a_task(module, "feature-extraction")
    with torch.no_grad(), Largest() as mode:
        task_module(*rows())
    assert not mode.square


def without_global_layers(module):
    module.layers = torch.nn.ModuleList([layer for layer in module.layers if layer.attn.sliding_window is not None])
    return module


def test_other_families_are_left_alone(tiny_model):
    from edgeformer.loading.load import load_model

    module = load_model(tiny_model).module
    same, windows = keep_windows(module, "text-classification")
    assert same is module
    assert windows == {}
    assert module.config._attn_implementation == "eager"


def test_longformer_question_answering_is_refused_with_the_reason():
    with pytest.raises(ModelError, match="global tokens"):
        keep_windows(longformer("ForQuestionAnswering"), "question-answering")


def test_capped_scores_are_refused_by_name():
    with pytest.raises(ModelError, match=r"layers\.0\.self_attn: attn_logit_softcapping is 50"):
        keep_windows(gemma3("Model", attn_logit_softcapping=50.0), "feature-extraction")


def test_a_mask_that_differs_between_queries_is_refused():
    module, _ = keep_windows(modernbert("Model"), "feature-extraction")
    ids, _ = rows()
    with pytest.raises(InputError, match=r"\[batch, 1, 1, sequence\]"):
        module(input_ids=ids, attention_mask=torch.zeros(2, 1, LENGTH, LENGTH))


def test_weights_keep_their_names():
    """A file written by transformers fits the local form, so later passes find what they look for."""
    for family in (modernbert, longformer, mistral, gemma3):
        module = family("ForSequenceClassification")
        names = set(module.state_dict())
        local, _ = keep_windows(module, "text-classification")
        assert set(local.state_dict()) == names
