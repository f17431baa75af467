"""Taking one position of each row."""

import torch

from edgeformer.exportable.gather import at_position, first_position, last_position


def test_the_last_position_of_each_row():
    found = torch.tensor([[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]])
    assert last_position(found).tolist() == [1, 3, 0]
    assert last_position(found > 0).tolist() == [1, 3, 0]


def test_the_first_position_of_each_row():
    found = torch.tensor([[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
    assert first_position(found).tolist() == [0, 1, 3, 0]
    assert first_position(found > 0).tolist() == [0, 1, 3, 0]


def test_values_at_a_position_are_taken_as_they_are():
    hidden = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    position = torch.tensor([4, 0, 2])
    assert torch.equal(at_position(hidden, position), hidden[torch.arange(3), position])
