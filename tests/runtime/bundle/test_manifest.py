from __future__ import annotations

import dataclasses
import json

import pytest

from edgeformer_runtime.bundle.manifest import (
    FileEntry,
    Graph,
    Manifest,
    TaskSpec,
    TensorSpec,
    VariantEntry,
    Verification,
    one_graph,
)
from edgeformer_runtime.bundle.manifest_reader import manifest_of, read_manifest
from edgeformer_runtime.bundle.manifest_text import manifest_text
from edgeformer_runtime.errors import InputError, RuntimeBundleError
from edgeformer_runtime.preprocess.text import TextPreprocess

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

MANIFEST = Manifest(
    name="tiny",
    task=TaskSpec("text-classification", ("a", "b")),
    inputs=(TensorSpec("input_ids", "int64", ("batch", "sequence"), 1),),
    outputs=(TensorSpec("logits", "float32", ("batch", 2)),),
    files=(FileEntry("variants/onnx/model.onnx", 3, "0" * 64), FileEntry("tokenizer.json", 1, "f" * 64)),
    variants=(
        VariantEntry(
            "onnx",
            "onnx",
            "onnxruntime",
            one_graph("variants/onnx/model.onnx"),
            3,
            {"sequence": (8, 16)},
            1,
            {"int8": 2},
            ("onnxruntime",),
            "1.19",
            ("raspberry-pi-5",),
            {"opset": 20},
            Verification("onnxruntime 1.31.1", True, 5, 0.99, 0.999, 0.1, 1.0, "accuracy", 0.8, 0.01),
        ),
    ),
    preprocess=(TextPreprocess("tokenizer.json", 16, 0),),
    recipe={"anything": [1, {"deep": None}]},
    producer="edgeformer 0.1.0",
)


LATER = {"min": [1], "opt": [1], "max": [1], "colour": [1]}
RESIZE = {"size": [8, 8], "mode": "exact", "filter": "box"}
PICTURE = {"kind": "image", "mean": [0, 0, 0], "std": [1, 1, 1], "resize": RESIZE}
LOG_MEL = {"n_fft": 512, "hop": 160, "mels": 40}
SOUND = {"kind": "audio", "rate_hz": 16_000, "log_mel": LOG_MEL}


def changed(path, value):
    """The manifest as JSON data with the value at ``path`` replaced; Ellipsis removes it."""
    data = json.loads(manifest_text(MANIFEST))
    item = data
    for key in path[:-1]:
        item = item[key]
    if value is ...:
        del item[path[-1]]
    else:
        item[path[-1]] = value
    return data


def test_what_is_written_is_read_back():
    assert read_manifest(manifest_text(MANIFEST)) == MANIFEST
    assert read_manifest(manifest_text(MANIFEST).encode()) == MANIFEST
    assert manifest_of(json.loads(manifest_text(MANIFEST))) == MANIFEST
    assert manifest_text(read_manifest(manifest_text(MANIFEST))) == manifest_text(MANIFEST)


def test_optional_keys_may_be_absent():
    data = json.loads(manifest_text(MANIFEST))
    for key in ("preprocess", "targets", "recipe", "sources", "metrics", "producer"):
        del data[key]
    del data["variants"][0]["verification"]
    assert manifest_of(data).preprocess == ()


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (1, r"from before the first release \(format 1, this runtime reads 2\): compile the model again"),
        (3, r"made by a newer edgeformer \(format 3, this runtime reads 2\): update edgeformer-runtime"),
    ],
)
def test_another_format_is_refused_before_anything_else(version, message):
    for data in ({"format_version": version}, changed(["format_version"], version)):
        with pytest.raises(RuntimeBundleError, match=message) as caught:
            manifest_of(data)
        assert caught.value.code == "format-version"


@pytest.mark.parametrize(
    ("path", "value", "part", "reason"),
    [
        (["variants", 0, "format"], "pickle", "variant", "format 'pickle' is none that this runtime knows"),
        (["variants", 0, "colour"], "red", "variant", "unknown key 'colour'"),
        (["variants", 0, "tensorrt"], {"colour": 1}, "variant", "unknown key 'colour'"),
        (["variants", 0, "tensorrt"], {"profiles": {"x": LATER}}, "variant", "unknown key 'colour'"),
        (["variants", 0, "graphs", "main", "colour"], 1, "variant", "unknown key 'colour'"),
        (["preprocess", 0], {**PICTURE, "resize": {**RESIZE, "colour": 1}}, "preprocess", "unknown key 'colour'"),
        (["preprocess", 0], {**SOUND, "log_mel": {**LOG_MEL, "colour": 1}}, "preprocess", "unknown key 'colour'"),
        (["preprocess", 0, "kind"], "smell", "preprocess", "kind 'smell' is none that this runtime knows"),
        (["preprocess", 0, "colour"], "red", "preprocess", "unknown key 'colour'"),
        (["task", "colour"], "red", "task", "unknown key 'colour'"),
        (["task", "numbers"], {"temperature": 2}, "task", "unknown key 'temperature'"),
    ],
)
def test_what_a_later_release_may_write_is_skipped_with_the_reason(path, value, part, reason):
    manifest = manifest_of(changed(path, value))
    (skipped,) = manifest.skipped
    assert (skipped.part, manifest.skipped_parts(part)) == (part, (skipped,))
    assert reason in skipped.reason
    if part == "variant":
        assert manifest.variants == ()
        with pytest.raises(RuntimeBundleError, match="variant 'onnx' was skipped"):
            manifest.variant("onnx")
    with pytest.raises(InputError, match="would be lost"):
        manifest_text(manifest)


def test_a_task_of_a_later_release_is_read():
    assert manifest_of(changed(["task", "kind"], "dreaming")).task.name == "dreaming"


def test_auto_names_no_variant_that_is_skipped_either():
    data = changed(["variants", 0, "format"], "pickle")
    data["variants"][0]["name"] = "auto"
    with pytest.raises(RuntimeBundleError, match="'auto' is no name"):
        manifest_of(data)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["format_version"], ..., "'format_version' is missing"),
        (["format_version"], True, "integer"),
        (["format_version"], 0, "at least 1"),
        (["name"], ..., "'name' is missing"),
        (["name"], "", "non-empty"),
        (["task", "kind"], "", "task.kind: expected a non-empty string"),
        (["task", "labels"], ["a", "a"], "task.labels: 'a' occurs more than once"),
        (["signature", "inputs"], [], "inputs: expected at least one"),
        (["signature", "inputs", 0, "dtype"], "object", "inputs\\[0\\].dtype"),
        (["signature", "inputs", 0, "shape"], ["batch", 0], "shape\\[1\\]: expected an integer of at least 1"),
        (["signature", "inputs", 0, "shape"], ["batch", "batch"], "occurs twice"),
        (["signature", "inputs", 0, "shape"], ["batch", 2**31], "at most 2147483647"),
        (["signature", "inputs", 0, "shape"], [2**16, 2**16], "more than 2147483647 elements"),
        (["signature", "inputs", 0, "shape"], [1] * 33, "33 dimensions"),
        (
            ["preprocess", 0],
            {**PICTURE, "resize": {**RESIZE, "filter": "new"}},
            "resize.filter: expected one of nearest",
        ),
        (["preprocess", 0], {**SOUND, "log_mel": {**LOG_MEL, "hop": 0}}, "log_mel.hop: expected 1 to"),
        (["preprocess", 0, "max_length"], 2**21, "at most 1048576"),
        (
            ["preprocess", 0, "prompts"],
            ["query: "],
            "preprocess\\[0\\].prompts: expected an object of at most 1000 values",
        ),
        (["preprocess", 0, "prompts"], {"": "query: "}, "preprocess\\[0\\].prompts: expected a non-empty string"),
        (["preprocess", 0, "prompts"], {"query": 1}, "preprocess\\[0\\].prompts.query: expected a string"),
        (["preprocess", 0, "truncation"], "middle", "preprocess\\[0\\].truncation: expected one of right, left"),
        (["preprocess", 0, "default_prompt"], "query", "default_prompt 'query' is none of its prompts"),
        (["task", "activation"], "relu", "task.activation: expected one of sigmoid, softmax, tanh"),
        (["task", "activation"], "tanh", "task.activation 'tanh' is none for several labels"),
        (["task", "similarity"], "hamming", "task.similarity: expected one of cosine"),
        (["files", 0, "bytes"], 2**40, "together: expected at most"),
        (["files", 1, "bytes"], 2**29, "'tokenizer.json' has 536870912 bytes"),
        (["signature", "outputs", 0, "name"], 3, "outputs\\[0\\].name"),
        (["files", 0, "sha256"], "0" * 63, "64 lower-case"),
        (["files", 0, "bytes"], -1, "at least 0"),
        (["files", 0, "path"], "../x", "leaves the bundle"),
        (["files", 0, "path"], "/etc/passwd", "is absolute"),
        (["files", 0, "path"], "c:\\x", "backslash or a colon"),
        (["files", 0, "path"], "a//b", "empty or '.' part"),
        (["files", 0, "path"], "a\0b", "control character"),
        (["files", 0, "path"], "\ud800", "not valid Unicode"),
        (["files", 0, "path"], "x" * 300, "too long"),
        (["files", 0, "path"], "TOKENIZER.json", "name one file"),
        (["files", 0, "path"], "manifest.JSON", "name one file"),
        (["files", 0, "path"], "tokenizer.json/x", "both a file and the folder"),
        (["variants"], [], "variants: expected at least one"),
        (["variants", 0, "format"], 3, "variants\\[0\\].format"),
        (["variants", 0, "graphs"], {}, "variants\\[0\\].graphs: expected at least one graph"),
        (["variants", 0, "graphs", "main", "path"], "variants/other", "is not among the files"),
        (["variants", 0, "lengths", "sequence"], [16, 8], "ascending"),
        (["variants", 0, "lengths", "sequence"], [], "ascending"),
        (["variants", 0, "lengths"], {"batch": [1]}, "is what fixed_batch is for"),
        (["variants", 0, "lengths"], {"frames": [1]}, "lengths of 'frames', which no input has"),
        (["variants", 0, "tensorrt"], {"dla_core": 2}, "dla_core 2: expected null, 0 or 1"),
        (["variants", 0, "tensorrt"], {"profiles": 3}, "tensorrt.profiles: expected an object"),
        (["variants", 0, "local_attention"], {"dtype": "float32"}, "local_attention.head_dims: is missing"),
        (["variants", 0, "full_attention"], {"below_positions": [1], "decided_by": "moon"}, "input, signature"),
        (["variants", 0, "fixed_batch"], 0, "at least 1"),
        (["variants", 0, "size_bytes"], 1.5, "integer"),
        (["variants", 0, "min_engine_version"], "latest", "a version like"),
        (["variants", 0, "weight_formats"], {"int8": -1}, "weight_formats.int8"),
        (["variants", 0, "verification", "cosine_min"], ..., "verification.cosine_min' is missing"),
        (["preprocess", 0, "takes"], [], "takes: expected text, pair or both"),
        (["preprocess", 0, "tokenizer"], "nowhere.json", "not among the files"),
        (["preprocess", 0, "max_length"], 0, "at least 1"),
        (["colour"], "red", "top level: unknown key 'colour'"),
        (["recipe"], [], "recipe: expected an object, got a list"),
    ],
)
def test_each_mistake_is_refused_by_name(path, value, message):
    with pytest.raises(RuntimeBundleError, match=message):
        manifest_of(changed(path, value))


def test_a_flipped_bit_anywhere_in_the_text_is_found():
    raw = manifest_text(MANIFEST).encode()
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << (place % 8)
        with pytest.raises(RuntimeBundleError):
            read_manifest(bytes(changed))


def test_a_manifest_written_by_hand_needs_no_checksum():
    data = json.loads(manifest_text(MANIFEST))
    del data["checksum"]
    assert read_manifest(json.dumps(data)) == MANIFEST


def test_a_checksum_is_of_the_text_and_not_of_what_it_says():
    data = json.loads(manifest_text(MANIFEST))
    with pytest.raises(RuntimeBundleError, match=r"expected the checksum .* remove its key 'checksum'"):
        read_manifest(json.dumps(data))
    deeper = dataclasses.replace(MANIFEST, recipe={"checksum": "0" * 64, "text": '\n "checksum": "' + "0" * 64 + '"'})
    assert read_manifest(manifest_text(deeper)) == deeper


def test_two_variants_of_one_name():
    data = json.loads(manifest_text(MANIFEST))
    data["variants"] *= 2
    with pytest.raises(RuntimeBundleError, match="variants: 'onnx' occurs more than once"):
        manifest_of(data)


def test_many_duplicates_are_refused_in_no_time():
    with pytest.raises(RuntimeBundleError, match=r"task\.labels: 'a', 'b' occurs"):
        manifest_of(changed(["task", "labels"], ["a", "b"] * 200_000))
    files = [{"path": f"f{index}", "bytes": 1, "sha256": "0" * 64} for index in range(10_001)]
    with pytest.raises(RuntimeBundleError, match="10001 files"):
        manifest_of(changed(["files"], files))


def test_an_mlpackage_is_a_directory_of_listed_files():
    data = changed(["variants", 0, "graphs", "main", "path"], "variants/coreml/model.mlpackage")
    data["files"][0]["path"] = "variants/coreml/model.mlpackage/Manifest.json"
    assert manifest_of(data).variants[0].path.endswith(".mlpackage")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        b"\xff\xfe",
        "\ufeff{}",
        '{"format_version": NaN}',
        '{"format_version": 1e999}',
        '{"format_version": ' + "9" * 100_000 + "}",
        '{"format_version": 1, "format_version": 1}',
        "[" * 200_000,
        '{"a":' * 100_000,
        '{"format_version": 1, "recipe": ' + "[" * 100 + "]" * 100 + "}",
        manifest_text(MANIFEST).replace('"tiny"', '"\\ud800"'),
        " " * (17 << 20),
    ],
    ids=range(15),
)
def test_hostile_text(text):
    with pytest.raises(RuntimeBundleError):
        read_manifest(text)


def test_data_that_is_no_json():
    loop = {}
    loop["recipe"] = loop
    for value in (
        loop,
        {1: 2},
        {"recipe": {1, 2}},
        {"format_version": float("nan")},
        {"a": 10**30},
        object(),
    ):
        with pytest.raises(RuntimeBundleError):
            manifest_of(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


def places(item, path=()):
    yield path
    children = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


PLACES = [path for path in places(json.loads(manifest_text(MANIFEST))) if path]


@hypothesis.settings(max_examples=200, deadline=None, database=None)
@hypothesis.given(st.sampled_from(PLACES), JSON)
def test_any_value_anywhere_gives_a_manifest_or_our_error(path, value):
    try:
        manifest = manifest_of(changed(path, value))
    except RuntimeBundleError:
        return
    if not manifest.skipped:  # what was skipped would be lost, and isn't written
        assert read_manifest(manifest_text(manifest)) == manifest


@hypothesis.settings(max_examples=200, deadline=None, database=None)
@hypothesis.given(st.text() | st.binary() | JSON.map(json.dumps))
def test_any_text_gives_our_error(text):
    with pytest.raises(RuntimeBundleError):
        read_manifest(text)


@hypothesis.settings(max_examples=100, deadline=None, database=None)
@hypothesis.given(st.integers(0, len(manifest_text(MANIFEST)) - 1), st.characters())
def test_one_changed_character(position, character):
    text = manifest_text(MANIFEST)
    try:
        manifest = read_manifest(text[:position] + character + text[position + 1 :])
    except RuntimeBundleError:
        return
    assert isinstance(manifest, Manifest)


def test_an_unknown_variant_is_refused_with_the_known_ones():
    with pytest.raises(RuntimeBundleError, match="it has onnx"):
        MANIFEST.variant("tflite")
    assert dataclasses.replace(MANIFEST, name="x").variant("onnx").format == "onnx"


def _towers():
    """The manifest of a model of two graphs, as JSON data."""
    pixels = TensorSpec("pixels", "float32", ("batch", 3, 8, 8), role="pixels")
    vectors = tuple(TensorSpec(name, "float32", ("batch", 4)) for name in ("image", "text"))
    inputs = (pixels, *MANIFEST.inputs)
    graphs = {
        name: Graph(f"variants/onnx/{name}.onnx", (taken,), (given,))
        for name, taken, given in zip(("image", "text"), inputs, vectors)
    }
    files = (*MANIFEST.files, FileEntry("preprocess/labels.bin", 32, "1" * 64))
    made = dataclasses.replace(
        MANIFEST,
        task=TaskSpec("zero-shot-image-classification", ("a", "b"), scale=2.0, bias=-1.0, hypothesis_template="a {}",
                      label_vectors="preprocess/labels.bin"),
        inputs=inputs, outputs=vectors, files=(*files, *(FileEntry(g.path, 1, "2" * 64) for g in graphs.values())),
        variants=(dataclasses.replace(MANIFEST.variants[0], graphs=graphs),),
    )  # fmt: skip
    data = json.loads(manifest_text(made))
    assert manifest_of(data) == made
    return data


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["task"].update(hypothesis_template="a label"), "with {} where the label goes"),
        (lambda d: d["task"].update(label_vectors="no.bin"), "not among the files"),
        (lambda d: d["task"].update(labels=["a", "b", "c"]), "4 for each of 3 labels x 4 dimensions"),
        (lambda d: d["task"]["numbers"].update(scale="2"), "scale"),
        (lambda d: d["variants"][0]["graphs"].pop("text"), "its graphs' inputs, pixels, are not the signature's"),
        (lambda d: d["variants"][0]["graphs"]["text"]["outputs"][0].update(name="image"), "outputs, image, image"),
        (lambda d: d["variants"][0]["graphs"]["text"]["inputs"][0].update(dtype="int32"), "inputs, pixels, input_ids"),
    ],
)  # fmt: skip
def test_what_graphs_and_labels_say_must_fit(change, said):
    data = _towers()
    change(data)
    with pytest.raises(RuntimeBundleError, match=said):
        manifest_of(data)


def test_a_padding_value_may_be_written_either_way():
    data = _towers()
    data["signature"]["outputs"][0]["pad_value"] = 0.0
    assert manifest_of(data).outputs[0].pad_value == 0
