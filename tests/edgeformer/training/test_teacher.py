"""Lessons from memory equal those of a run; blocks are mapped to those they came from."""

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from edgeformer.data.batching import make_batch
from edgeformer.errors import ModelError
from edgeformer.model.base import from_module
from edgeformer.training.blocks import block_outputs, map_blocks
from edgeformer.training.teacher import Teacher


def test_lessons_from_memory_equal_a_run(teacher, rows):
    batch = make_batch(teacher, rows, [7, 3, 40, 12])
    kept, asked = Teacher(teacher, rows, (0, 1)), Teacher(teacher, rows, (0, 1), cache_bytes=10)
    assert kept.cached
    assert not asked.cached
    assert "more than" in asked.reason
    a, b = kept.lesson(batch), asked.lesson(batch)
    torch.testing.assert_close(a.outputs[0], b.outputs[0])
    for x, y in zip(a.features, b.features, strict=True):
        torch.testing.assert_close(x[batch.real], y[batch.real], rtol=1e-3, atol=1e-3)  # float16


def test_hidden_states_beyond_float16_are_not_kept(teacher, rows):
    module = teacher.copy_module()
    with torch.no_grad():
        module.bert.encoder.layer[1].output.LayerNorm.weight *= 1e6
    large = Teacher(teacher.with_module(module), rows, (1,))
    assert not large.cached
    assert "float16" in large.reason
    batch = make_batch(teacher, rows, [0, 1])
    assert torch.isfinite(large.lesson(batch).features[0]).all()


def test_block_outputs_are_transformers_hidden_states(teacher, rows):
    batch = make_batch(teacher, rows, [1, 2])
    hooks = [len(block._forward_hooks) for block in teacher.module.bert.encoder.layer]
    with block_outputs(teacher, [0, 1]) as hidden, torch.no_grad():
        teacher.callable_module()(*batch.tensors)
    assert [len(block._forward_hooks) for block in teacher.module.bert.encoder.layer] == hooks
    with torch.no_grad():
        ids, mask = batch.tensors
        wanted = teacher.module(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    for index in (0, 1):
        torch.testing.assert_close(hidden[index][batch.real], wanted[index + 1][batch.real])


@pytest.fixture(scope="module")
def deep(teacher):
    torch.manual_seed(0)
    config = BertConfig(vocab_size=64, hidden_size=16, num_hidden_layers=6, num_attention_heads=2, intermediate_size=32)
    return teacher.with_module(BertForSequenceClassification(config).eval())


def with_blocks(model, kept, reset=False):
    module = model.copy_module()
    module.bert.encoder.layer = torch.nn.ModuleList([module.bert.encoder.layer[index] for index in kept])
    if reset:
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter)
    return model.with_module(module)


def test_equal_depth_maps_one_to_one(teacher, student):
    assert map_blocks(student, teacher) == (((0, 0), (1, 1)), "one to one")


def test_removed_blocks_are_found_by_what_was_not_touched(deep):
    student = with_blocks(deep, (0, 3, 4))
    with torch.no_grad():  # pruned and repaired, as a whole
        student.module.bert.encoder.layer[1].output.dense.weight += 1
    pairs, how = map_blocks(student, deep)
    assert pairs == ((0, 0), (1, 3), (2, 4))
    assert how == "by parameters that both share"


def test_unknown_blocks_are_spread_evenly(deep):
    pairs, how = map_blocks(with_blocks(deep, (0, 1, 2), reset=True), deep)
    assert pairs == ((0, 1), (1, 3), (2, 5))  # TinyBERT's g(m) = 2m for 3 of 6
    assert how == "spread evenly"


def test_more_blocks_than_the_teacher(deep):
    with pytest.raises(ModelError, match="6 blocks, its teacher only 2"):
        map_blocks(deep, with_blocks(deep, (0, 1)))


def test_a_family_without_description():
    plain = from_module(torch.nn.Linear(4, 4), {"x": torch.randn(2, 4)})
    with pytest.raises(ModelError, match="no description"):
        map_blocks(plain, plain)
