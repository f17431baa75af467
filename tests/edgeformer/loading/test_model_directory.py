import json

import pytest

from edgeformer.errors import ModelError
from edgeformer.loading.model_directory import model_directory

MAIN, OLDER = "b" * 40, "a" * 40


def model(folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def refused(path):
    with pytest.raises(ModelError) as found:
        model_directory(path)
    return str(found.value)


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A repository in the hub's cache, with two revisions."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--org--name"
    model(repository / "snapshots" / OLDER)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(MAIN)
    return model(repository / "snapshots" / MAIN)


def test_a_model_is_itself(tmp_path):
    assert model_directory(model(tmp_path / "model")) == tmp_path / "model"


def test_snapshots_of_a_repository(cached):
    for folder in (cached.parents[1], cached.parent, cached.parents[2]):
        assert f"Did you mean {cached} (or {cached.with_name(OLDER)})?" in refused(folder)


def test_a_name_on_the_hub_that_was_downloaded(cached, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"downloaded before. Did you mean {cached} (or" in refused("org/name")


def test_a_name_without_an_organization(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    found = model(tmp_path / "hub" / "models--bert-base-uncased" / "snapshots" / MAIN)
    assert f"Did you mean {found}?" in refused("bert-base-uncased")


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"])
def test_the_cache_is_where_the_hub_has_it(tmp_path, monkeypatch, variable):
    below = {
        "HF_HUB_CACHE": "",
        "HF_HOME": "hub",
        "XDG_CACHE_HOME": "huggingface/hub",
        "HOME": ".cache/huggingface/hub",
    }
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found = model(tmp_path / below[variable] / "models--org--name" / "snapshots" / MAIN)
    assert f"Did you mean {found}?" in refused("org/name")


def test_a_name_on_the_hub_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert "hf download org/name --local-dir name, then give name" in refused("org/name")


def test_the_last_checkpoint_of_a_training(tmp_path):
    for step in (500, 1000, 1500, 90):
        model(tmp_path / f"checkpoint-{step}")
    (tmp_path / "runs").mkdir()
    said = refused(tmp_path)
    assert (
        f"Did you mean {tmp_path}/checkpoint-1500 (or {tmp_path}/checkpoint-1000, {tmp_path}/checkpoint-500)?" in said
    )
    (tmp_path / "config.json").write_text("{}")
    assert "has a config.json and no weights. Did you mean" in refused(tmp_path)


def test_a_folder_up(tmp_path):
    inside = model(tmp_path / "model") / "1_Pooling"
    inside.mkdir()
    assert f"no config.json there. Did you mean {inside.parent}?" in refused(inside)
    assert f"is a file, expected a folder. Did you mean {inside.parent}?" in refused(
        inside.parent / "model.safetensors"
    )


def test_a_misspelt_name(tmp_path):
    assert f"no such directory. Did you mean {model(tmp_path / 'reviews')}?" in refused(tmp_path / "review")
    assert "Give a folder with config.json" in refused(tmp_path / "another")


def test_an_adapter(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/base"}))
    said = refused(tmp_path)
    assert f"compile BASE --adapter {tmp_path}" in said
    assert "trained on org/base" in said


def test_a_bundle(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "variants").mkdir()
    assert "is a bundle, which a compile has made already" in refused(tmp_path)


@pytest.mark.parametrize(
    ("name", "said"), [("m.gguf", "is a GGUF file"), ("m.onnx", "exported already"), ("m.zip", ".zip")]
)
def test_files_of_other_kinds(tmp_path, name, said):
    (tmp_path / name).write_bytes(b"x")
    assert said in refused(tmp_path / name)


def test_links(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    assert "is a link to loop, which isn't there" in refused(tmp_path / "loop")
    assert "no such directory" in refused("a\0b")


def test_sentence_transformers_keeps_its_model_below(tmp_path):
    (tmp_path / "modules.json").write_text("[]")
    model(tmp_path / "0_Transformer")
    assert model_directory(tmp_path) == tmp_path
