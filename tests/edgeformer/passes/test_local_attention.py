"""local_attention and extend_positions: changed, unchanged, refused with a reason; equal to dense masked attention."""

import json
from dataclasses import replace

import pytest
import torch

from edgeformer.attention.mass import attention_mass
from edgeformer.attention.window_error import window_errors
from edgeformer.data.encoding import encode
from edgeformer.data.splits import Data, Rows
from edgeformer.errors import InputError, ModelError, RecipeError
from edgeformer.families import architecture_for
from edgeformer.loading.load import load_model
from edgeformer.passes.base import PassContext, run_passes
from edgeformer.passes.extend_positions import ExtendPositions
from edgeformer.passes.local_attention import LocalAttend
from edgeformer.passes.prune_structured import PruneStructured
from edgeformer.passes.quantize import Quantize
from edgeformer.passes.recover import Recover
from edgeformer.recipe import Recipe
from edgeformer.rows.samples import Sample, Samples
from edgeformer.stages import Stages
from edgeformer.tasks.masks import MASKED
from edgeformer_converters.ops import LocalAttention, LocalPattern

CONTEXT = PassContext()
TEXT = "the a good bad film book was very not and plot actor great dull fine slow fun sad true best"
WORDS = TEXT.split()
FAMILIES = ("bert", "electra", "roberta", "distilbert")


def make(family, directory, **settings):
    """A tiny random classifier of a family, loaded as a user's would be."""
    import transformers

    torch.manual_seed(6)
    shape = {"vocab_size": 64, "num_labels": 3, "initializer_range": 0.3, "pad_token_id": 1, **settings}
    if family == "distilbert":
        shape |= {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 80}
    else:
        shape |= {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
        shape["max_position_embeddings"] = 82 if family in ("roberta", "mpnet") else 80
    if family == "electra":
        shape["embedding_size"] = 16
    name = {"roberta": "Roberta", "distilbert": "DistilBert", "mpnet": "MPNet"}.get(family, family.title())
    config = getattr(transformers, f"{name}Config")(**shape)
    getattr(transformers, f"{name}ForSequenceClassification")(config).save_pretrained(directory)
    return load_model(directory)


@pytest.fixture(scope="module", params=FAMILIES)
def family_model(request, tmp_path_factory):
    return make(request.param, tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


def rows_of(lengths, path="rows"):
    rows = tuple(Sample(" ".join(WORDS[(7 * i + j) % len(WORDS)] for j in range(n))) for i, n in enumerate(lengths))
    return Samples(path, rows, f"digest of {path}")


@pytest.fixture(scope="module")
def context():
    calibration = Rows(rows_of([58, 40, 12, 60, 33, 60, 51, 9, 20, 60]), 64)
    training = Rows(rows_of([60, 44, 30, 57, 12, 60, 41, 59, 33, 18, 25, 60], "training"), 64)
    empty = Rows(None, 64)
    return PassContext(data=Data(empty, calibration, training, empty))


def tokens(model, length=70):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, 24, (2, length), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, length - 25 :] = 0
    return torch.where(mask > 0, ids, model.signature.pad_token_id), mask


def run(model, ids, mask):
    with torch.no_grad():
        return model.callable_module()(ids, mask)[0]


@pytest.mark.parametrize("settings", [{"radius": 3}, {"radius": 3, "global_tokens": ()}, {"radius": 200}])
def test_equals_full_attention_under_the_pattern_as_a_mask(family_model, settings):
    result = LocalAttend(**settings, dense_below=0).run(family_model, CONTEXT)
    assert result.changed
    ids, mask = tokens(family_model)
    pattern = LocalPattern.radius(settings["radius"], global_tokens=settings.get("global_tokens", (0,)))
    seen = pattern.mask(ids.shape[1])[None, None] & (mask[:, None, None, :] > 0)
    with torch.no_grad():
        expected = family_model.module(input_ids=ids, attention_mask=torch.where(seen, 0.0, MASKED)).logits
    torch.testing.assert_close(run(result.model, ids, mask), expected, atol=1e-4, rtol=0)
    full = run(family_model, ids, mask)
    assert ((full - expected).abs().max() > 1e-3) == (settings["radius"] < 70)


def test_the_given_model_is_left_as_it_was(family_model):
    ids, mask = tokens(family_model)
    before, digest = run(family_model, ids, mask), family_model.digest()
    made = LocalAttend(radius=2, dense_below=0).run(family_model, CONTEXT).model
    assert torch.equal(run(family_model, ids, mask), before)
    assert family_model.digest() == digest != made.digest()
    assert family_model.module.config._attn_implementation == "eager"
    assert made.digest() != LocalAttend(radius=3, dense_below=0).run(family_model, CONTEXT).model.digest()


def test_blocks_of_their_own_radius_and_full_ones(model):
    longer = ExtendPositions(400).run(model, CONTEXT).model
    result = LocalAttend(radius=5, per_block={"1": 0}).run(longer, CONTEXT)
    layers = [part for part in result.model.module.modules() if isinstance(part, LocalAttention)]
    assert [layer.pattern for layer in layers] == [LocalPattern(5, 5, 1, (0,), dense_below=335)]
    assert result.facts["dense_below"] == {"bert.encoder.layer.0": 335}
    assert result.facts["radii"] == {"bert.encoder.layer.0": 5, "bert.encoder.layer.1": None}
    assert result.facts["full_attention"] == ["bert.encoder.layer.1"]
    assert result.facts["kept"] is None
    assert "profiled" in result.facts["kept_missing_because"]


def test_windows_that_no_input_reaches_change_nothing_and_say_so(model):
    result = LocalAttend(radius=5).run(model, CONTEXT)
    assert not result.changed
    assert result.model is model
    assert f"at most {model.max_length} positions, and below 335 (dense_below)" in result.facts["reason"]


def test_no_window_at_all_changes_nothing(model):
    result = LocalAttend(per_block={"0": 0}, dense_below=0).run(model, CONTEXT)
    assert not result.changed
    assert result.model is model


def brute_force_mass(model, samples, radius, global_tokens):
    """[layers, heads] from transformers' own attention outputs, one row at a time."""
    sums, count = 0, 0
    for row in samples.feeds:
        ids = torch.from_numpy(row["input_ids"])
        with torch.no_grad():
            weights = torch.stack(model.module(input_ids=ids, output_attentions=True).attentions)[:, 0].double()
        length = ids.shape[1]
        for query in set(range(length)) - set(global_tokens):
            keys = [k for k in range(length) if abs(k - query) <= radius or k in global_tokens]
            sums = sums + weights[:, :, query, keys].sum(-1)
            count += 1
    return sums / count


@pytest.mark.parametrize("global_tokens", [(), (0,), (0, 7)])
def test_mass_is_what_transformers_own_weights_add_up_to(model, context, global_tokens):
    samples = context.calibration(model, "a test")
    samples = replace(samples, feeds=samples.feeds[:4])
    paths = [f"bert.encoder.layer.{index}.attention.self" for index in (0, 1)]
    found = attention_mass(model, samples, paths, [2, 4, 16], global_tokens)
    for number, radius in enumerate((2, 4, 16)):
        expected = brute_force_mass(model, samples, radius, global_tokens)
        mine = torch.stack([found[path][:, number] for path in paths])
        torch.testing.assert_close(mine, expected, atol=1e-5, rtol=0)


def test_the_smallest_radius_that_keeps_the_mass_of_every_head(model, context):
    samples = context.calibration(model, "a test")
    at_16 = brute_force_mass(model, samples, 16, (0,)).amin(1)  # the worst head of each block
    between = float(at_16.sort().values.mean())
    result = LocalAttend(keep_mass=between, dense_below=0).run(model, context)
    expected = [16 if share >= between else 32 for share in at_16.tolist()]
    assert sorted(expected) == [16, 32]
    assert list(result.facts["radii"].values()) == expected
    block = expected.index(16)
    path = f"bert.encoder.layer.{block}"
    assert result.facts["kept"][path] == pytest.approx(float(at_16[block]), abs=1e-5)
    profiled = dict(result.facts["profiled"])
    assert profiled.pop("mean_head")[path][0] >= result.facts["kept"][path]
    worst = torch.tensor(list(profiled.pop("kept").values()), dtype=torch.float64)
    torch.testing.assert_close(worst[:, 0], at_16, atol=1e-5, rtol=0)
    assert profiled == {"measure": "mass", "rows": 10, "longest": 62, "radii": [16, 32]}
    assert json.loads(json.dumps(result.facts)) == result.facts


def windowed_error(model, samples, index, radius, global_tokens):
    """Block ``index`` with a real window, on what flows into it: its attention's error beside the residual stream."""
    error = energy = 0.0
    layer = model.module.bert.encoder.layer[index]
    local = LocalAttend(radius=radius, global_tokens=global_tokens, dense_below=0).run(model, CONTEXT).model
    windowed = local.module.bert.encoder.layer[index]
    for row in samples.feeds:
        ids = torch.from_numpy(row["input_ids"])
        with torch.no_grad():
            x = model.module(input_ids=ids, output_hidden_states=True).hidden_states[index]
            full, found = (part.attention.output.dense(part.attention.self(x)[0])[0] for part in (layer, windowed))
        counted = [query for query in range(ids.shape[1]) if query not in global_tokens]
        error += float((found - full)[counted].double().square().sum())
        energy += float((x[0] + full)[counted].double().square().sum())
    return error / energy


@pytest.mark.parametrize("global_tokens", [(), (0, 7)])
def test_the_error_of_a_window_is_that_of_the_block_with_the_window(model, context, global_tokens):
    samples = context.calibration(model, "a test")
    samples = replace(samples, feeds=samples.feeds[:4])
    blocks = architecture_for("bert").find_blocks(model.module)
    found = window_errors(model, samples, blocks, [2, 16, 200], global_tokens)
    for index in (0, 1):
        for number, radius in enumerate((2, 16)):
            expected = windowed_error(model, samples, index, radius, global_tokens)
            assert expected > 1e-6
            assert float(found[index][number]) == pytest.approx(expected, rel=1e-3)
        assert float(found[index][2]) < 1e-10


def test_the_smallest_radius_that_keeps_the_output(model, context):
    samples = context.calibration(model, "a test")
    at_16 = [1 - windowed_error(model, samples, index, 16, (0,)) for index in (0, 1)]
    result = LocalAttend(keep_output=sum(at_16) / 2, dense_below=0).run(model, context)
    expected = [16 if share >= sum(at_16) / 2 else 32 for share in at_16]
    assert sorted(expected) == [16, 32]
    assert list(result.facts["radii"].values()) == expected
    assert result.facts["profiled"]["measure"] == "output"
    assert result.facts["profiled"]["mean_head"] is None
    assert result.facts["kept"][f"bert.encoder.layer.{expected.index(16)}"] == pytest.approx(max(at_16), abs=1e-5)
    assert json.loads(json.dumps(result.facts)) == result.facts
    assert not LocalAttend(keep_output=1.0, dense_below=0).run(model, context).changed


def test_all_of_the_mass_needs_full_attention(model, context):
    result = LocalAttend(keep_mass=1.0, dense_below=0).run(model, context)
    assert not result.changed
    assert set(result.facts["radii"].values()) == {None}


def test_a_radius_of_the_users_own_goes_before_the_profile(model, context):
    result = LocalAttend(keep_mass=0.01, per_block={"1": 9}, dense_below=0).run(model, context)
    assert list(result.facts["radii"].values()) == [16, 9]
    assert result.facts["kept"]["bert.encoder.layer.1"] is None


def test_a_profile_is_made_once(model, context, tmp_path, monkeypatch):
    stages = Stages(tmp_path)
    kept = replace(context, stages=stages)
    first = LocalAttend(keep_mass=0.9, dense_below=0).run(model, kept)
    monkeypatch.setattr("edgeformer.attention.radii.attention_mass", lambda *_: pytest.fail("profiled again"))
    assert LocalAttend(keep_mass=0.9, dense_below=0).run(model, kept).facts == first.facts
    assert LocalAttend(keep_mass=0.5, dense_below=0).run(model, kept).changed


def test_recovery_trains_through_the_windows(model, context):
    quick = Recover(epochs=2, learning_rate=3e-3, batch_size=8)
    result = run_passes(model, [LocalAttend(radius=2, dense_below=0), quick, Quantize()], context)
    losses = result.records[1].facts
    assert result.records[1].changed, losses
    local = LocalAttend(radius=2, dense_below=0).run(model, context).model
    module = local.module.requires_grad_(True)
    ids, mask = tokens(local, 40)
    local.callable_module()(ids, mask)[0].square().sum().backward()
    for name in ("query", "key", "value"):
        gradient = getattr(module.bert.encoder.layer[0].attention.self, name).weight.grad
        assert gradient is not None
        assert gradient.abs().max() > 0


def test_heads_go_before_windows(model, context):
    pruned = PruneStructured(heads=0.25, importance="magnitude", reconstruct=False, allocation="per_layer")
    ids, mask = tokens(model, 60)
    result = run_passes(model, [pruned, LocalAttend(radius=200, dense_below=0)], context).model
    alone = run_passes(model, [pruned], context).model
    torch.testing.assert_close(run(result, ids, mask), run(alone, ids, mask), atol=1e-4, rtol=0)
    with pytest.raises(RecipeError, match="put prune_structured before local_attention"):
        run_passes(model, [LocalAttend(radius=2, dense_below=0), pruned], context)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give radius"),
        ({"radius": 0}, "radius = 0"),
        ({"radius": -4}, "radius = -4"),
        ({"radius": 4, "keep_mass": 0.9}, "give one"),
        ({"keep_mass": 0.0}, "keep_mass = 0.0"),
        ({"keep_mass": 1.5}, "keep_mass = 1.5"),
        ({"keep_output": 0.0}, "keep_output = 0.0"),
        ({"keep_mass": 0.9, "keep_output": 0.9}, "keep_mass and keep_output"),
        ({"radius": 4, "global_tokens": (2, 1)}, "ascending"),
        ({"per_block": {"first": 3}}, "per_block.first"),
        ({"per_block": {"0": -1}}, "per_block.0"),
        ({"radius": 4, "dense_below": -1}, "dense_below = -1"),
    ],
)
def test_settings_that_can_not_be_meant_are_refused(settings, message):
    with pytest.raises(RecipeError, match=message):
        LocalAttend(**settings)


def test_what_can_not_be_made_local_is_refused(model, context, tmp_path):
    mpnet = make("mpnet", tmp_path / "mpnet")
    with pytest.raises(ModelError, match="position bias"):
        run_passes(mpnet, [LocalAttend(radius=4, dense_below=0)], CONTEXT)
    with pytest.raises(ModelError, match="'modernbert': can't be made local"):
        run_passes(replace(model, architecture="modernbert"), [LocalAttend(radius=4, dense_below=0)], CONTEXT)
    with pytest.raises(RecipeError, match="block 0: its attention is local already"):
        run_passes(model, [LocalAttend(radius=4, dense_below=0), LocalAttend(radius=2, dense_below=0)], CONTEXT)
    with pytest.raises(RecipeError, match=r"per_block.7: the model has the blocks 0…1"):
        run_passes(model, [LocalAttend(radius=4, per_block={"7": 2}, dense_below=0)], CONTEXT)
    with pytest.raises(InputError, match="give --calibration"):
        run_passes(model, [LocalAttend(keep_mass=0.9, dense_below=0)], CONTEXT)


def test_recipes_hold_both_passes():
    recipe = Recipe(
        steps=(ExtendPositions(256), LocalAttend(radius=32, per_block={"0": 16}), LocalAttend(keep_mass=0.9))
    )
    assert Recipe.from_toml(recipe.to_toml()) == recipe


@pytest.mark.parametrize("method", ["tile", "interpolate"])
def test_extended_positions(family_model, method):
    result = ExtendPositions(200, method).run(family_model, CONTEXT)
    assert result.changed
    assert result.model.max_length == 200
    assert result.facts["trained_length"] == 80
    assert result.facts["method"] == method
    ids, mask = tokens(family_model, 200)
    assert torch.isfinite(run(result.model, ids, mask)).all()
    short = tokens(family_model, 70)
    same = torch.equal(run(result.model, *short), run(family_model, *short))
    assert same == (method == "tile")
    table = family_model.module.base_model.embeddings.position_embeddings
    offset = 0 if table.padding_idx is None else table.padding_idx + 1
    trained = table.weight[offset:]
    longer = result.model.module.base_model.embeddings.position_embeddings.weight
    assert result.model.module.config.max_position_embeddings == len(longer) == 200 + offset
    if method == "tile":
        assert torch.equal(longer[offset + 80 : offset + 160], trained)
    else:
        place = 100 * 79 / 199
        low = int(place)
        between = trained[low] * (1 - (place - low)) + trained[low + 1] * (place - low)
        torch.testing.assert_close(longer[offset + 100], between, atol=1e-5, rtol=0)
        torch.testing.assert_close(longer[offset + 199], trained[79])


def test_positions_that_suffice_stay(model):
    result = ExtendPositions(64).run(model, CONTEXT)
    assert not result.changed
    assert result.model is model


def test_the_longer_model_with_full_attention_is_the_uncompressed_one(model, context):
    result = run_passes(model, [ExtendPositions(128), LocalAttend(radius=8, dense_below=0)], context)
    assert result.uncompressed.max_length == result.model.max_length == 128
    ids, mask = tokens(model, 120)
    assert (run(result.uncompressed, ids, mask) - run(result.model, ids, mask)).abs().max() > 1e-4
    encoded = encode(result.model.signature, rows_of([100]), 128)
    assert encoded.feeds[0]["input_ids"].shape[1] == 102


def test_extending_after_compressing_or_without_a_table_is_refused(model, context):
    with pytest.raises(RecipeError, match="in front of the compressing passes"):
        run_passes(model, [LocalAttend(radius=8, dense_below=0), ExtendPositions(128)], context)
    bare = model.copy_module()
    bare.bert.embeddings.position_embeddings = torch.nn.Identity()
    with pytest.raises(ModelError, match="no learned position embeddings"):
        run_passes(model.with_module(bare), [ExtendPositions(128)], CONTEXT)
    with pytest.raises(RecipeError, match="max_length = 1"):
        ExtendPositions(1)
    with pytest.raises(RecipeError, match="'mirror': expected one of tile"):
        ExtendPositions(128, "mirror")
