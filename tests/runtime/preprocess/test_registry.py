from __future__ import annotations

from dataclasses import replace

import pytest

from edgeformer_runtime.errors import InputError, RuntimeBundleError
from edgeformer_runtime.files.json_fields import UnknownPartError
from edgeformer_runtime.preprocess.audio import AudioPreprocess
from edgeformer_runtime.preprocess.image_preprocess import ImagePreprocess, ImageResize
from edgeformer_runtime.preprocess.log_mel import LogMel
from edgeformer_runtime.preprocess.registry import KINDS, make_encoder, read_preprocess, write_preprocess
from edgeformer_runtime.preprocess.text import TextPreprocess

WHERE = "manifest.json: preprocess[0]"
ALL = {
    "text": TextPreprocess("tokenizer.json", 8, 0, pair=True, prompts={"q": "query: "}, cut="second"),
    "image": ImagePreprocess((0.5, 0.5, 0.5), (1.0, 1.0, 1.0), crop=(8, 8)),
    "audio": AudioPreprocess(16_000),
}


def test_every_kind_is_tried_here():
    assert set(ALL) == set(KINDS)


@pytest.mark.parametrize("kind", ALL)
def test_what_is_written_is_read_back(kind):
    data = write_preprocess(ALL[kind])
    assert data["kind"] == kind
    assert read_preprocess(data, WHERE) == ALL[kind]
    assert ALL[kind].files == (("tokenizer.json",) if kind == "text" else ())


@pytest.mark.parametrize("kind", ALL)
def test_a_key_of_a_later_release_is_no_mistake(kind):
    with pytest.raises(UnknownPartError, match="unknown key 'colour'"):
        read_preprocess({**write_preprocess(ALL[kind]), "colour_": 1, "colour": 1}, WHERE)


@pytest.mark.parametrize(
    ("settings", "inside"),
    [
        (replace(ALL["image"], resize=ImageResize((8,), "shortest", "bicubic")), "resize"),
        (AudioPreprocess(16_000, log_mel=LogMel(512, 160, 40)), "log_mel"),
    ],
)
def test_nor_is_one_inside_of_an_entry(settings, inside):
    data = write_preprocess(settings)
    data[inside]["colour"] = 1
    with pytest.raises(UnknownPartError, match=rf"preprocess\[0\]\.{inside}: unknown key 'colour'"):
        read_preprocess(data, WHERE)


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [("text", "max_length", "8"), ("image", "mean", [0.5]), ("audio", "rate_hz", 0), ("audio", "normalize", 1)],
)
def test_a_wrong_value_is_refused_with_its_place(kind, key, value):
    with pytest.raises(RuntimeBundleError, match=r"manifest\.json: preprocess\[0\]") as caught:
        read_preprocess({**write_preprocess(ALL[kind]), key: value}, WHERE)
    assert caught.value.code == "manifest"


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_rows_that_are_no_list_or_have_a_prompt(kind):
    encoder = make_encoder(ALL[kind], lambda path: b"", ())
    with pytest.raises(InputError, match="put it in a list"):
        encoder.rows("one.file")
    with pytest.raises(InputError, match="which have none"):
        encoder.encode_row("one.file", "query")
    with pytest.raises(InputError, match=f"this model takes {KINDS[kind].takes}: "):
        encoder.encode_row("nowhere.file")


def test_in_words():
    assert {kind: item.in_words() for kind, item in ALL.items()} == {
        "text": "texts or pairs of up to 8 tokens, of which the second alone is cut at its end",
        "image": "pictures as RGB, the middle 8 x 8 taken, mean 0.5, 0.5, 0.5, standard deviation 1, 1, 1",
        "audio": "sounds at 16000 Hz as the waveform",
    }
