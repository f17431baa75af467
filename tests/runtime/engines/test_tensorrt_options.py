from __future__ import annotations

import itertools

import pytest

from edgeformer_runtime.bundle.manifest import VariantEntry, one_graph
from edgeformer_runtime.bundle.needs import TensorRTNeeds
from edgeformer_runtime.engines.gpu import Gpu
from edgeformer_runtime.engines.tensorrt_options import Versions, make_options
from edgeformer_runtime.errors import RuntimeBundleError
from edgeformer_runtime.files.typed_json import DecodeError, decode

NANO = Gpu("Orin Nano", "sm_87", 0)
AGX = Gpu("AGX Orin", "sm_87", 2)
JETPACK_6 = Versions("1.23.2", "10.3.0", NANO)
PROFILES = {
    "input_ids": {"min": [1, 1], "opt": [1, 64], "max": [4, 128]},
    "attention_mask": {"min": [1, 1], "opt": [1, 64], "max": [4, 128]},
}
FREE = 4 << 30


def variant(weight_formats=None, **settings):
    formats = {"int8": 2} if weight_formats is None else weight_formats
    return VariantEntry(
        "v",
        "tensorrt",
        "tensorrt",
        one_graph("m.onnx"),
        1,
        weight_formats=formats,
        tensorrt=decode(TensorRTNeeds, settings, "tensorrt"),
    )


def options(given=None, versions=JETPACK_6, digest="a" * 64, free=FREE):
    return make_options(digest, given or variant(precision="fp16", profiles=PROFILES), versions, free)


def test_precision_profiles_and_caches():
    made = options()
    assert made.provider["trt_fp16_enable"] == made.provider["trt_int8_enable"] == "1"
    assert made.provider["trt_profile_min_shapes"] == "input_ids:1x1,attention_mask:1x1"
    assert made.provider["trt_profile_opt_shapes"] == "input_ids:1x64,attention_mask:1x64"
    assert made.provider["trt_profile_max_shapes"] == "input_ids:4x128,attention_mask:4x128"
    assert made.provider["trt_engine_cache_enable"] == made.provider["trt_timing_cache_enable"] == "1"
    assert made.provider["trt_engine_cache_path"] == str(made.cache)
    assert made.provider["trt_timing_cache_path"] == str(made.cache.parent / "timings-trt10.3.0-sm_87")
    assert not any("cuda_graph" in name or "dla" in name for name in made.provider)


def test_precision_follows_the_variant_and_tensorrt():
    plain = options(variant({}, precision="fp32")).provider
    assert "trt_fp16_enable" not in plain
    assert "trt_int8_enable" not in plain
    typed = options(versions=Versions("1.31.1", "11.0.1", NANO)).provider
    assert not {"trt_fp16_enable", "trt_int8_enable"} & set(typed)


def test_the_folder_of_engines_depends_on_all_that_an_engine_depends_on():
    other_shapes = {name: {**bounds, "max": [4, 256]} for name, bounds in PROFILES.items()}
    folders = [
        options().cache,
        options(digest="b" * 64).cache,
        options(versions=Versions("1.22.0", "10.3.0", NANO)).cache,
        options(versions=Versions("1.23.2", "10.7.0", NANO)).cache,
        options(versions=Versions("1.23.2", None, NANO)).cache,
        options(versions=Versions("1.23.2", "10.3.0", Gpu("Xavier", "sm_72", 2))).cache,
        options(versions=Versions("1.23.2", "10.3.0", None)).cache,
        options(variant(precision="fp32", profiles=PROFILES)).cache,
        options(variant(precision="fp16", profiles=other_shapes)).cache,
        options(variant(precision="fp16", profiles=PROFILES, dla_core=0), Versions("1.23.2", "10.3.0", AGX)).cache,
    ]
    for one, two in itertools.combinations(folders, 2):
        assert one != two
    assert options().cache == options().cache


def test_an_old_onnxruntime_is_not_given_an_option_that_it_refuses():
    old = options(versions=Versions("1.16.0+nv23.12", "8.5.2", NANO)).provider
    assert "trt_timing_cache_path" not in old
    assert old["trt_timing_cache_enable"] == "1"


def test_workspace_is_a_share_of_what_is_free():
    assert options(free=400 << 20).provider["trt_max_workspace_size"] == str(100 << 20)
    assert options(free=64 << 30).provider["trt_max_workspace_size"] == str(1 << 30)
    assert options(free=1 << 20).provider["trt_max_workspace_size"] == str(64 << 20)
    assert options(variant(workspace_bytes=5)).provider["trt_max_workspace_size"] == "5"


def test_dla_where_it_was_asked_for_and_exists():
    asked = variant(precision="fp16", dla_core=1)
    made = options(asked, Versions("1.23.2", "10.3.0", AGX))
    assert (made.provider["trt_dla_enable"], made.provider["trt_dla_core"]) == ("1", "1")
    assert made.notes == ()
    absent = options(asked, JETPACK_6)
    assert "trt_dla_enable" not in absent.provider
    assert absent.notes == ("DLA core 1 was asked for and not used: Orin Nano has none",)
    unknown = options(asked, Versions("1.23.2", "10.3.0", None))
    assert unknown.provider["trt_dla_core"] == "1"  # TensorRT itself will say whether it exists


@pytest.mark.parametrize(
    "settings",
    [
        {"profiles": {"input_ids": {"min": [1]}}},
        {"profiles": {"input_ids": {"min": ["x"], "opt": [1], "max": [1]}}},
        {"profiles": [1]},
        {"workspace_bytes": 0},
        {"workspace_bytes": True},
        {"dla_core": 2},
        {"dla_core": "0"},
    ],
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises((DecodeError, RuntimeBundleError)):
        variant(**settings)
