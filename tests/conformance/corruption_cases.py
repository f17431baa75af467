"""Bundles that break rules which the hostile ones of tests/runtime leave whole."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile_bundles as hostile
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edgeformer_runtime.bundle.signing import key_id_of, signature_text

ORDER = 2**252 + 27742317777372353535851937790883648493  # of Ed25519's group
DATA: dict[str, Callable[[Any], Any]] = {
    "format_text": lambda d: d.update(format_version="2"),
    "format_true": lambda d: d.update(format_version=True),
    "name_empty": lambda d: d.update(name=""),
    "name_missing": lambda d: d.pop("name") and None,
    "checksum_capitals": lambda d: d.update(checksum="A" * 64),
    "task_missing": lambda d: d.pop("task") and None,
    "task_unknown": lambda d: d["task"].update(kind="later"),  # skipped: it opens
    "task_unknown_key": lambda d: d["task"].update(later=1),
    "task_activation": lambda d: d["task"].update(activation="tanh"),
    "task_labels_twice": lambda d: d["task"].update(labels=["a", "b", "a"]),
    "task_label_number": lambda d: d["task"].update(labels=["a", 1]),
    "task_threshold_text": lambda d: d["task"]["numbers"].update(threshold="0.5"),
    "task_longest_answer_zero": lambda d: d["task"]["numbers"].update(longest_answer=0),
    "task_template_without_place": lambda d: d["task"].update(hypothesis_template="a picture"),
    "task_label_vectors_unlisted": lambda d: d["task"].update(label_vectors="preprocess/none.bin"),
    "task_label_vectors_short": lambda d: d["task"].update(label_vectors="preprocess/tokenizer.json"),
    "inputs_none": lambda d: d["signature"].update(inputs=[]),
    "inputs_twice": lambda d: d["signature"]["inputs"].append(d["signature"]["inputs"][0]),
    "input_role_unknown": lambda d: d["signature"]["inputs"][0].update(role="words"),
    "input_batch_twice": lambda d: d["signature"]["inputs"][0].update(shape=["batch", "batch"]),
    "input_dimension_zero": lambda d: d["signature"]["inputs"][0].update(shape=["batch", 0]),
    "input_dimension_fraction": lambda d: d["signature"]["inputs"][0].update(shape=["batch", 1.0]),
    "input_pad_value_text": lambda d: d["signature"]["inputs"][0].update(pad_value="0"),
    "output_unknown_key": lambda d: d["signature"]["outputs"][0].update(later=1),
    "preprocess_unknown": lambda d: d["preprocess"][0].update(kind="smell"),
    "preprocess_takes_none": lambda d: d["preprocess"][0].update(takes=[]),
    "preprocess_takes_unknown": lambda d: d["preprocess"][0].update(takes=["texts"]),
    "preprocess_prompt_number": lambda d: d["preprocess"][0].update(prompts={"query": 1}),
    "preprocess_prompt_unknown": lambda d: d["preprocess"][0].update(default_prompt="query"),
    "preprocess_length_zero": lambda d: d["preprocess"][0].update(max_length=0),
    "preprocess_side": lambda d: d["preprocess"][0].update(truncation="top"),
    "preprocess_tokenizer_unlisted": lambda d: d["preprocess"][0].update(tokenizer="preprocess/none.json"),
    "variant_named_auto": lambda d: d["variants"][0].update(name="auto"),
    "variant_format_unknown": lambda d: d["variants"][0].update(format="later"),
    "variant_size_negative": lambda d: d["variants"][0].update(size_bytes=-1),
    "variant_size_beyond_64_bits": lambda d: d["variants"][0].update(size_bytes=2**63),
    "preprocess_number_beyond_64_bits": lambda d: d["preprocess"][0].update(pad_token_id=10**19 - 1),
    "variants_read_before_preprocess": lambda d: d.update(preprocess="x")
    or d["variants"][0]["graphs"]["main"].update(path="../x"),
    "files_read_before_producer": lambda d: d.update(producer=1) or d["files"][0].update(path="../x"),
    "variant_size_missing": lambda d: d["variants"][0].pop("size_bytes") and None,
    "variant_batch_zero": lambda d: d["variants"][0].update(fixed_batch=0),
    "variant_batch_true": lambda d: d["variants"][0].update(fixed_batch=True),
    "variant_lengths_none": lambda d: d["variants"][0].update(lengths={"sequence": []}),
    "variant_lengths_descending": lambda d: d["variants"][0].update(lengths={"sequence": [16, 8]}),
    "variant_lengths_of_batch": lambda d: d["variants"][0].update(lengths={"batch": [1]}),
    "variant_lengths_of_nothing": lambda d: d["variants"][0].update(lengths={"frames": [8]}),
    "variant_version": lambda d: d["variants"][0].update(min_engine_version="newest"),
    "variant_tensorrt_precision": lambda d: d["variants"][0].update(tensorrt={"precision": "int8"}),
    "graphs_none": lambda d: d["variants"][0].update(graphs={}),
    "graph_of_some_inputs": lambda d: d["variants"][0]["graphs"]["main"].update(
        inputs=d["signature"]["inputs"][:1], outputs=d["signature"]["outputs"]
    ),
    "graph_twice_an_output": lambda d: d["variants"][0]["graphs"].update(
        {name: {"path": hostile.MODEL, "inputs": [item], "outputs": d["signature"]["outputs"]}
         for name, item in zip(("main", "more"), d["signature"]["inputs"], strict=True)}
    ),
    "graph_with_a_state": lambda d: d["variants"][0]["graphs"]["main"].update(
        states=[{"input": "past", "output": "present", "axis": 2, "update": "append", "longest": 8}]
    ),
    "graph_with_a_wrong_state": lambda d: d["variants"][0]["graphs"]["main"].update(
        states=[{"input": "past", "output": "present", "axis": 2, "update": "shift"}]
    ),
    "targets_number": lambda d: d.update(targets=[1]),
    "recipe_list": lambda d: d.update(recipe=[]),
    "file_absolute": lambda d: d["files"][0].update(path="/etc/passwd"),
    "file_unlisted_golden_data": lambda d: d["files"].pop(0) and None,
}  # fmt: skip
RECIPE = b'"recipe": {}'
TEXTS: dict[str, Callable[[bytes], bytes]] = {
    "not_utf8_in_a_name": lambda t: t.replace(b'"name": "text', b'"name": "\xff\xfetext'),
    "surrogate_in_utf8": lambda t: t.replace(b'"name": "text', b'"name": "\xed\xa0\x80text'),
    "half_a_surrogate_pair": lambda t: t.replace(b'"name": "text', b'"name": "\\ud800text'),
    "control_character": lambda t: t.replace(b'"name": "text', b'"name": "\ttext'),
    "deep_65": lambda t: t.replace(RECIPE, b'"recipe": {"a": ' + b"[" * 62 + b"1" + b"]" * 62 + b"}"),
    "deep_64": lambda t: t.replace(RECIPE, b'"recipe": {"a": ' + b"[" * 61 + b"1" + b"]" * 61 + b"}"),
    "files_too_many": lambda t: t.replace(b'"files": [\n', b'"files": [\n' + FILE * 10_001),
    "values_300001": lambda t: t.replace(RECIPE, b'"recipe": {"x": [' + b"1," * (300_000 - _values(t)) + b"1]}"),
    "digits_20": lambda t: t.replace(RECIPE, b'"recipe": {"x": 12345678901234567890}'),
    "digits_19": lambda t: t.replace(RECIPE, b'"recipe": {"x": -9999999999999999999}'),
    "number_01": lambda t: t.replace(RECIPE, b'"recipe": {"x": 01}'),
    "comma_at_the_end": lambda t: t.replace(RECIPE, b'"recipe": {"x": 1,}'),
    "comment": lambda t: t.replace(RECIPE, b'"recipe": {} /* none */'),
    "escape_unknown": lambda t: t.replace(RECIPE, b'"recipe": {"x": "\\x41"}'),
    "key_twice_by_an_escape": lambda t: t.replace(RECIPE, b'"recipe": {"ab": 1, "a\\u0062": 2}'),
    "utf16": lambda t: "{}".encode("utf-16"),
    "list": lambda t: b"[" + t + b"]",
    "no_break_space": lambda t: b"\xc2\xa0" + t,
}
FILE = b'  {"bytes": 0, "path": "f", "sha256": "' + b"0" * 64 + b'"},\n'


def _values(text: bytes) -> int:
    """How many values a text counts as, beside an object with one list in the place of an empty one."""
    return text.count(b",") + text.count(b"[") + text.count(b"{") + 1


def hashed(name: str, change: Callable[[bytes], bytes]) -> hostile.Case:
    """A bundle of which one file became another, with the size and the hash that the manifest says."""

    def build(good: Path, folder: Path) -> Path:
        path = hostile.copied(good, folder)
        content = change((path / name).read_bytes())
        (path / name).write_bytes(content)
        data = json.loads((path / "manifest.json").read_text("utf-8"))
        del data["checksum"]
        (file,) = (item for item in data["files"] if item["path"] == name)
        file.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        (path / "manifest.json").write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", "utf-8")
        return path

    return build


def rows_case(change: Callable[[Any], Any]) -> hostile.Case:
    """A bundle whose golden.json became other data."""

    def text(content: bytes) -> bytes:
        data = json.loads(content)
        change(data)
        return (json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()

    return hashed("golden.json", text)


def _input(**values: Any) -> hostile.Case:
    return rows_case(lambda golden: golden["rows"][0]["inputs"]["input_ids"].update(values))


def _variant(change: Callable[[Any], Any]) -> hostile.Case:
    return rows_case(lambda golden: change(golden["variants"]["onnx"]) and None)


def _last_number(value: float) -> hostile.Case:
    """The last of golden.bin's numbers is one of the outputs."""
    return hashed("golden.bin", lambda content: content.rstrip(b"\0")[:-4] + struct.pack("<f", value) + bytes(8))


GOLDEN: dict[str, hostile.Case] = {
    "data_short": hashed("golden.bin", lambda content: content[:-200]),
    "data_empty": hashed("golden.bin", lambda content: b""),
    "data_too_large": hashed("golden.bin", lambda content: content + bytes(8 << 20)),
    "data_nan": _last_number(float("nan")),
    "data_infinite": _last_number(float("inf")),
    "text_no_json": hashed("golden.json", lambda content: content[:-4]),
    "text_byte_order_mark": hashed("golden.json", lambda content: b"\xef\xbb\xbf" + content),
    "text_key_twice": hashed("golden.json", lambda content: content.replace(b"{\n", b'{\n "version": 2,\n', 1)),
    "text_list": hashed("golden.json", lambda content: b"[]"),
    "version_1": rows_case(lambda golden: golden.update(version=1)),
    "version_true": rows_case(lambda golden: golden.update(version=True)),
    "key_unknown": rows_case(lambda golden: golden.update(later=1)),
    "rows_none": rows_case(lambda golden: golden.update(rows=[])),
    "rows_65": rows_case(lambda golden: golden.update(rows=[{}] * 65)),
    "row_text_number": rows_case(lambda golden: golden["rows"][0].update(text=1)),
    "row_input_missing": rows_case(lambda golden: golden["rows"][0]["inputs"].pop("input_ids")),
    "row_input_unknown": rows_case(lambda golden: golden["rows"][0]["inputs"].update(more=1)),
    "array_dtype": _input(dtype="object"),
    "array_offset_negative": _input(offset=-8),
    "array_offset_outside": _input(offset=800),
    "array_offset_huge": _input(offset=2**62),
    "array_shape_zero": _input(shape=[1, 0]),
    "array_shape_negative": _input(shape=[-1, -6]),
    "array_shape_huge": _input(shape=[2**22, 2**22, 2**22]),
    "array_shape_of_nine": _input(shape=[1] * 9),
    "array_key_unknown": _input(later=1),
    "variant_unknown": rows_case(lambda golden: golden["variants"].update(later=golden["variants"]["onnx"])),
    "variant_rows_fewer": _variant(lambda variant: variant["outputs"].pop()),
    "variant_predictions_fewer": _variant(lambda variant: variant["predictions"].pop()),
    "variant_prediction_list": _variant(lambda variant: variant["predictions"].append([])),
    "variant_similarity_0": _variant(lambda variant: variant.update(similarity_min=0)),
    "variant_similarity_1": _variant(lambda variant: variant.update(similarity_min=1)),
    "variant_similarity_text": _variant(lambda variant: variant.update(similarity_min="0.9")),
    "variant_engine_missing": _variant(lambda variant: variant.pop("executed_by")),
}  # fmt: skip


def _tokenizer(old: str, new: str) -> hostile.Case:
    """A bundle whose tokenizer.json says something else at one place."""

    def text(content: bytes) -> bytes:
        assert content.count(old.encode()) == 1, old
        return content.replace(old.encode(), new.encode())

    return hashed(hostile.TOKENIZER, text)


LATER = '{"type": "Later"}'
WORDS = '"type": "BertPreTokenizer"'
TOKENIZERS: dict[str, hostile.Case] = {
    "known": _tokenizer('"decoder": null', '"decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}]}'),
    "normalizer": _tokenizer('"Lowercase"', '"Later"'),
    "normalizer_inside": _tokenizer('"Lowercase"', f'"Sequence", "normalizers": [{{"type": "Lowercase"}}, {LATER}]'),
    "pre_tokenizer": _tokenizer(WORDS, '"type": "Later"'),
    "pre_tokenizer_pattern": _tokenizer(
        WORDS, '"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": false'
    ),
    "pre_tokenizer_behavior": _tokenizer(
        WORDS, '"type": "Split", "pattern": {"String": " "}, "behavior": "Later", "invert": false'
    ),
    "model": _tokenizer('"WordPiece"', '"Later"'),
    "post_processor": _tokenizer('"BertProcessing",\n    "sep"', '"Later",\n    "end"'),  # the package guesses by keys
    "decoder": _tokenizer('"decoder": null', f'"decoder": {LATER}'),
    "decoder_inside": _tokenizer('"decoder": null', f'"decoder": {{"type": "Sequence", "decoders": [{LATER}]}}'),
    "no_json": hashed(hostile.TOKENIZER, lambda content: content[:-4]),
}


def key(number: int) -> Ed25519PrivateKey:
    """A key that is the same in every run; no secret."""
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def write_keys(folder: Path) -> None:
    """The public keys of ``key`` 1 and 2: key.pem, other.pem."""
    for number, name in ((1, "key"), (2, "other")):
        content = key(number).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pem").write_bytes(content)


def signed(change: Callable[[Any], Any] = lambda signature: None, number: int = 1) -> hostile.Case:
    """A bundle whose manifest.sig, by the key of this ``number``, was then changed."""

    def build(good: Path, folder: Path) -> Path:
        path = hostile.copied(good, folder)
        private = key(number)
        data = json.loads(
            signature_text(key_id_of(private.public_key()), private.sign((path / "manifest.json").read_bytes()))
        )
        made = change(data)
        text = made if isinstance(made, str) else json.dumps(data, indent=1, sort_keys=True) + "\n"
        (path / "manifest.sig").write_text(text, "utf-8")
        return path

    return build


def _bytes(change: Callable[[bytes], bytes]) -> hostile.Case:
    """Other bytes of the signature itself."""

    def changed(data: Any) -> None:
        data["signature"] = base64.b64encode(change(base64.b64decode(data["signature"]))).decode()

    return signed(changed)


def _altered(good: Path, folder: Path) -> Path:
    return hostile.edit(signed()(good, folder), lambda data: data.update(producer="somebody else"))


def _larger_scalar(signature: bytes) -> bytes:
    """The same signature in another form, which nobody may take: its second half plus the group's order."""
    return signature[:32] + (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")


# What is opened, and with which keys.
SIGNED: dict[str, tuple[hostile.Case, list[str]]] = {
    "whole": (signed(), ["key.pem"]),
    "one_of_two_keys": (signed(), ["other.pem", "key.pem"]),
    "not_looked_at": (signed(lambda data: "{}"), []),
    "missing": (hostile.copied, ["key.pem"]),
    "by_another": (signed(number=2), ["key.pem"]),
    "by_another_in_its_name": (signed(lambda data: data.update(key_id=key_id_of(key(1).public_key())), 2), ["key.pem"]),
    "manifest_altered": (_altered, ["key.pem"]),
    "bit_flipped": (_bytes(lambda signature: bytes([signature[0] ^ 1]) + signature[1:]), ["key.pem"]),
    "zeros": (_bytes(lambda signature: bytes(64)), ["key.pem"]),
    "larger_scalar": (_bytes(_larger_scalar), ["key.pem"]),
    "short": (_bytes(lambda signature: signature[:-1]), ["key.pem"]),
    "long": (_bytes(lambda signature: signature + b"\0"), ["key.pem"]),
    "base64_url": (signed(lambda data: data.update(signature="-_" + data["signature"][2:])), ["key.pem"]),
    "base64_without_end": (signed(lambda data: data.update(signature=data["signature"].rstrip("="))), ["key.pem"]),
    "base64_spaced": (signed(lambda data: data.update(signature=data["signature"] + "\n")), ["key.pem"]),
    "algorithm": (signed(lambda data: data.update(algorithm="none")), ["key.pem"]),
    "version_2": (signed(lambda data: data.update(format_version=2)), ["key.pem"]),
    "version_true": (signed(lambda data: data.update(format_version=True)), ["key.pem"]),
    "key_unknown": (signed(lambda data: data.update(later=1)), ["key.pem"]),
    "key_missing": (signed(lambda data: data.pop("algorithm") and None), ["key.pem"]),
    "key_id_capitals": (signed(lambda data: data.update(key_id=data["key_id"].upper())), ["key.pem"]),
    "number": (signed(lambda data: data.update(signature=1)), ["key.pem"]),
    "no_json": (signed(lambda data: "-----BEGIN"), ["key.pem"]),
    "list": (signed(lambda data: "[]"), ["key.pem"]),
    "too_large": (signed(lambda data: json.dumps(data) + " " * (1 << 20)), ["key.pem"]),
}
