"""Which variants are made, and that what an exporter wrote is what was chosen."""

from dataclasses import replace

import pytest

import edgeformer as ef
from edgeformer.data.splits import read_data
from edgeformer.errors import RecipeError
from edgeformer.passes.base import PassContext
from edgeformer.stages import RESULT, Stages, source_digest
from edgeformer.variants.export import Compressed, copy_files, export_variants, plan_variants
from edgeformer_converters.base import ExportError
from edgeformer_converters.onnx.export import OnnxConverter
from edgeformer_devices import load

RECIPE = ef.Recipe(export=ef.ExportSettings(formats=("onnx",), sequence_lengths=(16,)))
LAYER = "model.bert.encoder.layer.0.attention.self.query"


@pytest.fixture(scope="module")
def compressed(tiny_model):
    model = ef.load_model(tiny_model)
    roles = dict.fromkeys(("embedding", "feed_forward", "pooler", "head"), "float32")
    quantized = ef.Quantize(attention="int8", **roles).run(model, PassContext()).model
    return {None: Compressed(quantized, reference=None)}


def export(stages, compressed):
    model = compressed[None].model
    return export_variants(
        stages, plan_variants(RECIPE.export, ()), compressed, RECIPE, read_data(model, 16, None, None), threads=1
    )


def test_formats_that_are_named_are_made_else_what_the_devices_run_else_every_usual_one():
    def formats(settings, *devices):
        return {plan.format for plan in plan_variants(settings, [load(name) for name in devices])}

    assert formats(RECIPE.export, "raspberry-pi-5") == {"onnx"}
    assert formats(ef.ExportSettings(), "iphone-15") == {"coreml"}
    assert formats(ef.ExportSettings()) == {"onnx", "tflite", "coreml"}


def test_core_ml_s_lengths_are_enumerated_or_a_range_where_asked():
    def shapes(recipe, device):
        (plan,) = plan_variants(recipe.export, [load(device)])
        return plan.settings.get("shapes")

    assert shapes(ef.Recipe(), "iphone-15") is None  # the exporter's own: enumerated
    for asked in ("range", "enumerated"):
        assert shapes(ef.Recipe().with_setting(f"export.coreml.shapes={asked}"), "iphone-15") == asked


def test_what_can_not_be_made_is_refused_before_any_work():
    with pytest.raises(RecipeError, match="format 'gguf': expected one of onnx"):
        plan_variants(ef.ExportSettings(formats=("gguf",)), ())


def test_an_export_is_kept_and_its_entry_says_what_is_in_it(compressed, tmp_path):
    for resumed in (False, True):
        stages = Stages(tmp_path / "cache")
        (made,) = export(stages, compressed)
        assert [record.resumed for record in stages.records if record.name == "export onnx"] == [resumed]
        stages.close()
    assert made.facts["bit_equal_layers"] == made.entry.weight_formats["int8"] == 8
    copy_files(made, tmp_path)
    files = [path for path in (tmp_path / "variants" / "onnx").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) == made.entry.size_bytes
    assert RESULT not in {path.name for path in files}
    assert (tmp_path / made.entry.path).is_file()


def test_an_export_depends_on_the_source_of_the_modules_that_are_traced(compressed, tmp_path):
    """The compiler's own files decide the graph too: towers, and forwards that are rewritten for exporters."""

    class AskedError(Exception):
        pass

    class Keys(Stages):
        def directory(self, name, key, make):
            raise AskedError(key)

    with pytest.raises(AskedError) as asked:
        export(Keys(tmp_path), compressed)
    (key,) = asked.value.args
    assert source_digest("edgeformer") in key["source"]


def test_integers_that_a_backend_changed_are_refused(compressed, tmp_path, monkeypatch):
    read = OnnxConverter.read_weights

    def read_changed(self, path, layers):
        found = read(self, path, layers)
        integers = found[LAYER].integers.copy()
        integers[0, 0] ^= 1
        return {**found, LAYER: replace(found[LAYER], integers=integers)}

    monkeypatch.setattr(OnnxConverter, "read_weights", read_changed)
    with pytest.raises(ExportError, match=rf"layer {LAYER} .*are not the chosen ones"):
        export(Stages(tmp_path), compressed)
    assert list(tmp_path.iterdir()) == []
