"""Tokenizers whose files were damaged or don't belong together: one sentence, whatever the library does with them."""

import json

import pytest
from transformers import BertConfig

from edgeformer.errors import ModelError
from edgeformer.model.tokenizer_files import load_tokenizer


def changed(directory, name, change):
    path = directory / name
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


@pytest.fixture
def directory(tmp_path, tiny_model):
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_file=str(tiny_model / "tokenizer.json"), pad_token="[PAD]", unk_token="[UNK]"
    )
    fast.save_pretrained(tmp_path)
    template = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    second = {"Sequence": {"id": "B", "type_id": 1}}
    processor = {"type": "TemplateProcessing", "single": [template, text], "pair": [template, text, second]}
    token = {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}}
    changed(
        tmp_path, "tokenizer.json", lambda value: value.update(post_processor={**processor, "special_tokens": token})
    )
    return tmp_path


@pytest.mark.parametrize("settings", [True, False])
def test_a_panic_of_the_library_is_a_sentence(directory, settings):
    assert load_tokenizer(directory, BertConfig()).pairs
    changed(directory, "tokenizer.json", lambda value: value["post_processor"].update(special_tokens={}))
    if not settings:
        (directory / "tokenizer_config.json").unlink()
    with pytest.raises(ModelError, match=r"its tokenizer \(tokenizer.json.*damaged.*PanicException"):
        load_tokenizer(directory, BertConfig())


@pytest.mark.parametrize("value", [[64], "float16", {}])
def test_settings_of_another_type(directory, value):
    changed(directory, "tokenizer_config.json", lambda settings: settings.update(model_max_length=value))
    with pytest.raises(ModelError, match=r"tokenizer.json, tokenizer_config.json\) is damaged|can't be loaded"):
        load_tokenizer(directory, BertConfig())
