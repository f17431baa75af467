"""Names of tensors in an adapter's file, as peft writes them and as others do."""

from __future__ import annotations

import pytest
import torch

from edgeformer.errors import AdapterError
from edgeformer.lora.tensor_names import plain_names

ONE = torch.ones(1)
P = "base_model.model."


@pytest.mark.parametrize(
    ("names", "plain", "note"),
    [
        ([f"{P}a.lora_A.weight"], ["a.lora_A.weight"], None),
        ([f"{P}{P}a.lora_A.weight"], ["a.lora_A.weight"], "2 times"),
        (["a.lora_A.weight"], ["a.lora_A.weight"], "peft itself would not load"),
        ([f"module.{P}a.lora_A.weight"], ["a.lora_A.weight"], "a wrapper's prefix"),
        ([f"{P}_orig_mod.a.lora_A.weight"], ["a.lora_A.weight"], "a wrapper's prefix"),
        ([f"{P}a.lora_A.mine.weight"], ["a.lora_A.weight"], "'mine' was taken out"),
        ([f"{P}a.lora_embedding_B.mine"], ["a.lora_embedding_B"], "'mine' was taken out"),
        ([f"{P}a.lora_magnitude_vector.mine.weight"], ["a.lora_magnitude_vector.weight"], "'mine' was taken out"),
        ([f"{P}a.lora_magnitude_vector.weight"], ["a.lora_magnitude_vector.weight"], None),
        (
            [f"{P}a.lora_A.mine.weight", f"{P}head.modules_to_save.mine.dense.bias"],
            ["a.lora_A.weight", "head.modules_to_save.dense.bias"],
            "'mine' was taken out",
        ),
        ([f"{P}mine.lora_A.mine.weight"], ["mine.lora_A.weight"], "'mine' was taken out"),
        ([f"{P}head.modules_to_save.dense.bias"], ["head.modules_to_save.dense.bias"], None),
    ],
)
def test_plain_names(names: list[str], plain: list[str], note: str | None) -> None:
    found, notes = plain_names(dict.fromkeys(names, ONE))
    assert list(found) == plain
    assert (note is None and not notes) or (note is not None and note in " ".join(notes))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([f"{P}a.lora_A.weight", "a.lora_B.weight"], "expected a name that begins with"),
        ([f"{P}a.lora_A.one.weight", f"{P}a.lora_A.two.weight"], "holds the adapters one, two in one"),
        ([f"{P}a.lora_A.weight", f"module.{P}a.lora_A.weight"], "holds tensors twice"),
    ],
)
def test_names_that_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(AdapterError, match=message):
        plain_names(dict.fromkeys(names, ONE))
