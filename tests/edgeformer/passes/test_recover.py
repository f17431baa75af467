"""recover: changed, unchanged, refused with a reason; killed for real, and gone on."""

import json
import random
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
import torch

from edgeformer.data.encoding import encode
from edgeformer.data.splits import Data, Rows, read_data
from edgeformer.errors import InputError, InternalError, ModelError, RecipeError
from edgeformer.loading.load import load_model
from edgeformer.passes.base import PassContext, run_passes
from edgeformer.passes.prune_structured import PruneStructured
from edgeformer.passes.quantize import Quantize
from edgeformer.passes.recover import Recover
from edgeformer.recipe import ExportSettings, Recipe
from edgeformer.rows.samples import Sample, Samples
from edgeformer.stages import Stages
from edgeformer.training.checkpoint import Checkpoints
from edgeformer.training.loop import Lessons, Training
from edgeformer.training.settings import TrainingSettings
from edgeformer.training.teacher import Teacher
from edgeformer.training.validation import Validation

TEXT = "the a good bad film book was very not and plot actor great dull fine slow fun sad true best"
WORDS = TEXT.split()
RECIPE = Recipe(export=ExportSettings(sequence_lengths=(16,)))
QUICK = Recover(epochs=3, learning_rate=3e-3, batch_size=8)


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def training_file(tmp_path_factory):
    """Unlabelled rows."""
    rng = random.Random(7)
    path = tmp_path_factory.mktemp("data") / "training.jsonl"
    rows = [{"text": " ".join(rng.choices(WORDS, k=rng.randint(2, 14)))} for _ in range(96)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture(scope="module")
def data(model, training_file):
    return read_data(model, max(RECIPE.export.sequence_lengths), None, None, training_file)


@pytest.fixture(scope="module")
def pruned(model, data):
    step = PruneStructured(channels=0.5, importance="magnitude", reconstruct=False)
    return step.run(model, PassContext(data=data)).model


@pytest.fixture(scope="module")
def recovered(model, pruned, data):
    return QUICK.run(pruned, PassContext(data=data, uncompressed=model))


def equal(a, b):
    mine, other = a.module.state_dict(), b.module.state_dict()
    return set(mine) == set(other) and all(torch.equal(mine[name], other[name]) for name in mine)


def test_a_pruned_model_comes_back(pruned, recovered):
    epochs = recovered.facts["epochs"]
    best = recovered.facts["best_epoch"]
    assert recovered.changed
    assert epochs[best]["validation_loss"] < 0.5 * epochs[0]["validation_loss"]
    assert recovered.model.parameter_count() == pruned.parameter_count()
    assert recovered.model.module is not pruned.module
    assert not any(parameter.requires_grad for parameter in recovered.model.module.parameters())


def test_the_given_models_stay_as_they_were(model, pruned, recovered, data):
    before = pruned.digest(), model.digest()
    replace(QUICK, epochs=1).run(pruned, PassContext(data=data, uncompressed=model))
    assert (pruned.digest(), model.digest()) == before


def test_facts_are_plain_and_whole(recovered, data):
    facts = json.loads(json.dumps(recovered.facts))
    assert facts["rows"] == len(data.training) > 60
    assert facts["validation_rows"] == len(data.validation) > 8
    assert facts["stopped"] == "epochs"
    assert facts["blocks"] == {"pairs": [[0, 0], [1, 1]], "mapping": "one to one"}
    assert facts["labels"] == "labels = 0"
    assert facts["validation_metric_name"] is None
    assert facts["seconds"] > 0


def test_it_runs_in_a_pipeline_before_quantize(model, data):
    steps = [PruneStructured(channels=0.5, importance="magnitude", reconstruct=False), replace(QUICK, epochs=1)]
    result = run_passes(model, [*steps, Quantize()], PassContext(data=data))
    assert [record.name for record in result.records] == ["prune_structured", "recover", "quantize"]


def test_nothing_to_recover_changes_nothing_and_says_so(model, data):
    said = []
    result = replace(QUICK, epochs=1).run(model, PassContext(data=data, uncompressed=model, progress=said.append))
    assert not result.changed
    assert "no epoch was better" in said[-1]
    assert "give more --training rows" in said[-1]
    assert result.model is model
    assert result.facts["best_epoch"] == 0


def test_a_finished_recovery_is_not_done_again(model, pruned, recovered, data, tmp_path, monkeypatch):
    def run():
        stages = Stages(tmp_path)
        result = QUICK.run(pruned, PassContext(data=data, uncompressed=model, stages=stages))
        stages.close()
        return result

    first = run()
    assert equal(first.model, recovered.model)
    assert not list(tmp_path.glob("unfinished-*"))
    monkeypatch.setattr(Training, "run", None)
    assert equal(run().model, first.model)


def test_a_kept_result_of_no_change(model, data, tmp_path):
    for _ in range(2):
        context = PassContext(data=data, uncompressed=model, stages=Stages(tmp_path))
        assert not replace(QUICK, epochs=1).run(model, context).changed


def test_an_error_within_keeps_the_checkpoint(model, pruned, recovered, data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "edgeformer.passes.recover.Checkpoints", lambda *args, **more: Checkpoints(*args, **more, every_seconds=0)
    )
    original = Training._step

    def interrupted(self, batch, steps):
        if self._at.steps == 11:
            raise KeyboardInterrupt
        original(self, batch, steps)

    said = []
    context = PassContext(data=data, uncompressed=model, stages=Stages(tmp_path), progress=said.append)
    monkeypatch.setattr(Training, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        QUICK.run(pruned, context)
    monkeypatch.setattr(Training, "_step", original)
    assert equal(QUICK.run(pruned, context).model, recovered.model)
    assert "recover: goes on at step 12, epoch 2" in said
    assert not list(tmp_path.glob("unfinished-*"))


def test_a_damaged_checkpoint_is_said_and_left_out(model, pruned, recovered, data, tmp_path, monkeypatch):
    monkeypatch.setattr(Training, "_end_epoch", lambda self: (self._save(), 1 / 0))
    said = []
    context = PassContext(data=data, uncompressed=model, stages=Stages(tmp_path), progress=said.append)
    with pytest.raises(InternalError, match="ZeroDivisionError"):
        QUICK.run(pruned, context)
    monkeypatch.undo()
    (file,) = tmp_path.glob("unfinished-*/*")
    file.write_bytes(file.read_bytes()[:-100])
    assert equal(QUICK.run(pruned, context).model, recovered.model)
    assert any("damaged" in line and "starts again" in line for line in said)


KILLED = """
    import os, signal, sys
    from pathlib import Path
    import torch
    torch.set_num_threads(1)
    from edgeformer.data.splits import read_data
    from edgeformer.loading.load import load_model
    from edgeformer.passes import recover
    from edgeformer.passes.base import PassContext
    from edgeformer.passes.prune_structured import PruneStructured
    from edgeformer.recipe import ExportSettings, Recipe
    from edgeformer.stages import Stages
    from edgeformer.training.checkpoint import Checkpoints
    from edgeformer.training.loop import Training

    directory, training, cache = sys.argv[1:]
    recover.Checkpoints = lambda *args, **more: Checkpoints(*args, **more, every_seconds=0)
    original = Training._step

    def killed(self, batch, steps):
        if self._at.steps == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        original(self, batch, steps)

    Training._step = killed
    model = load_model(directory)
    data = read_data(model, 16, None, None, training)
    pruned = PruneStructured(channels=0.5, importance="magnitude", reconstruct=False).run(model, PassContext(data=data))
    context = PassContext(data=data, uncompressed=model, stages=Stages(Path(cache)))
    recover.Recover(epochs=3, learning_rate=3e-3, batch_size=8).run(pruned.model, context)
"""


@pytest.mark.slow
def test_a_process_killed_at_once_is_gone_on_with(model, pruned, recovered, data, tiny_model, training_file, tmp_path):
    arguments = [str(tiny_model), str(training_file), str(tmp_path)]
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), *arguments], check=False, stderr=-1)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    said = []
    context = PassContext(data=data, uncompressed=model, stages=Stages(tmp_path), progress=said.append)
    result = QUICK.run(pruned, context)
    assert "recover: goes on at step 14, epoch 2" in said
    assert equal(result.model, recovered.model)


TOKENS = tuple(Sample(tuple(WORDS[i : i + 5]), target=[0, 1, 0, 1, 1]) for i in range(15))
ANSWERS = tuple(Sample(f"what {w}", f"the {w} film was {w}", [w]) for w in WORDS[1:16])
TEXTS = tuple(Sample(" ".join(WORDS[i : i + 6])) for i in range(15))


@pytest.mark.parametrize(
    ("task", "rows", "labels"),
    [("token-classification", TOKENS, 0.01), ("question-answering", ANSWERS, 0.01), ("feature-extraction", TEXTS, 0.0)],
)
def test_every_task_learns_from_its_teacher(tiny_model, task, rows, labels):
    teacher = load_model(tiny_model, task=task)
    generator = torch.Generator().manual_seed(2)
    module = teacher.copy_module()
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 2:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    samples = encode(teacher.signature, Samples("rows", rows, ""), 16)
    settings = TrainingSettings(epochs=4, learning_rate=2e-3, batch_size=4, labels=labels)
    judge = Validation(teacher, replace(samples, targets=None), 2.0)
    lessons = Lessons(samples, Teacher(teacher, samples, (0, 1)), ((0, 0), (1, 1)), judge)
    history = Training(teacher.with_module(module), lessons, settings).run().history
    assert history[-1]["validation_loss"] < 0.6 * history[0]["validation_loss"]
    assert ("labels" in history[-1]) == bool(labels)


def test_without_rows(model, pruned):
    empty = Rows(None, 16)
    nothing = Data(empty, empty, empty, empty)
    for data in (None, nothing):
        with pytest.raises(InputError, match="--training FILE or --calibration FILE"):
            QUICK.requires(pruned, PassContext(data=data, uncompressed=model))


def test_too_few_rows(model, pruned, data):
    few = replace(data, training=data.training.first(5))
    with pytest.raises(InputError, match=r"at least 8 training rows, .*training.jsonl gives 5"):
        QUICK.requires(pruned, PassContext(data=few, uncompressed=model))


def test_without_a_teacher(pruned, data):
    with pytest.raises(InputError, match="uncompressed model, and there is none"):
        QUICK.requires(pruned, PassContext(data=data))


def test_integers_cannot_be_trained(model, data):
    with pytest.raises(RecipeError, match=r"pass recover \(after quantize\): .*put recover before quantize"):
        run_passes(model, [Quantize(), QUICK], PassContext(data=data))


def test_another_tokenizer(model, pruned, data):
    other = pruned.with_text(tokenizer=pruned.tokenizer.replace('"actor"', '"actress"'))
    with pytest.raises(RecipeError, match="put recover before trim_vocabulary"):
        QUICK.requires(other, PassContext(data=data, uncompressed=model))


def test_a_random_head_teaches_nothing(model, pruned, data):
    untrained = replace(model, untrained=frozenset({"classifier.weight"}))
    with pytest.raises(ModelError, match=r"classifier\.weight is in no file"):
        QUICK.requires(pruned, PassContext(data=data, uncompressed=untrained))


def test_only_labels_but_none_given(model, pruned, data):
    step = Recover(responses=0.0, features=0.0, labels=1.0)
    with pytest.raises(InputError, match="only labels are to be learned, but: not learned: some rows have none"):
        step.requires(pruned, PassContext(data=data, uncompressed=model))


def test_a_recipe_holds_it():
    recipe = Recipe(steps=(Recover(epochs=2, minutes=5.0),))
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    with pytest.raises(RecipeError, match="epochs = 0: expected an integer of at least 1"):
        recipe.with_setting("recover.epochs=0")
    with pytest.raises(RecipeError, match="did you mean 'patience'"):
        recipe.with_setting("recover.patiense=1")
