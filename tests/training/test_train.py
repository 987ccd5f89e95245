"""``train_recipe``: the rules of the run folder, and what a resumed run accepts."""

import shutil
import signal

import numpy as np
import pytest

from pixelcnn import checkpoint, data
from pixelcnn.data.reading import condition_names
from pixelcnn.errors import ConfigError, DataError, ModelError, UnknownName
from pixelcnn.training import Interrupted, prepare, train_recipe
from pixelcnn.training import recipe as recipes
from pixelcnn.training.run import RunFolder
from pixelcnn.training.train import default_run, located, request
from pixelcnn.weights import fingerprint
from training.trainings import same, signalled

SMALL = [
    "network.width=4", "network.depth=2", "training.epochs=1", "training.batch_size=256",
    "training.precision=32", "training.sample_count=0",
]  # fmt: skip


def go(run, *more, recipe="digits", **arguments):
    return train_recipe(recipe, run, overrides=[*SMALL, *more], verbose=False, **arguments)


def test_a_run_from_a_recipe(tmp_path):
    history = go(tmp_path / "run")
    stored = recipes.parse((history.run / "recipe.toml").read_text(), "?")
    assert stored.name == "digits"
    assert stored.options.epochs == 1
    model = checkpoint.load(history.run)
    assert model.network.width == 4
    assert model.record["recipe"] == "digits"
    assert model.record["data"] == {"name": "digits"}
    assert model.record["classes"] == list(data.load("digits").train.classes)


def test_the_default_folder_is_named_after_recipe_and_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(go(None).run) == "runs/digits-digits"


def test_resume_is_fine_on_a_missing_an_empty_and_a_finished_run(tmp_path):
    run = tmp_path / "run"
    assert go(run, resume=True).steps == 6
    (tmp_path / "empty").mkdir()
    assert go(tmp_path / "empty", resume=True).steps == 6
    rows = (run / "metrics.csv").read_text()
    assert go(run, resume=True).steps == 6
    assert (run / "metrics.csv").read_text() == rows
    assert train_recipe(None, run, resume=True, verbose=False).steps == 6


def test_resume_may_train_longer(tmp_path):
    run = tmp_path / "run"
    go(run)
    again = train_recipe(None, run, overrides=["training.epochs=2"], resume=True, verbose=False)
    assert (again.steps, [row.epoch for row in again.rows if row.val_loss]) == (12, [1, 2])
    assert recipes.parse((run / "recipe.toml").read_text(), "?").options.epochs == 2


@pytest.mark.parametrize(
    "setting", ["training.learning_rate=1.0", "training.seed=5", "data.levels=2", "network.width=5"]
)
def test_resume_refuses_what_contradicts_the_run(setting, tmp_path):
    run = tmp_path / "run"
    go(run)
    before = (run / "recipe.toml").read_text()
    with pytest.raises(ConfigError, match=r"was started with \w+\.\w+ = ") as caught:
        train_recipe(None, run, overrides=[setting], resume=True, verbose=False)
    assert "--run" in caught.value.hint
    assert (run / "recipe.toml").read_text() == before


def test_resume_refuses_another_recipe(tmp_path):
    go(tmp_path / "run")
    with pytest.raises(ConfigError, match="holds a run of recipe digits, not keras-mnist"):
        train_recipe("keras-mnist", tmp_path / "run", resume=True, verbose=False)


def test_a_start_that_fails_leaves_nothing_to_refuse(tmp_path):
    with pytest.raises(DataError):
        go(tmp_path / "run", f"data.name='{tmp_path / 'missing.npy'}'")
    assert list(tmp_path.iterdir()) == []
    go(tmp_path / "run")


def test_own_data_keep_their_folder_to_themselves(tmp_path):
    path = tmp_path / "secret" / "mine.npz"
    path.parent.mkdir()
    np.savez(path, images=np.random.default_rng(0).integers(0, 4, (40, 5, 7)).astype(np.uint8))
    history = go(tmp_path / "run", f"data.name='{path}'", "data.source_levels=4")
    text = (history.run / "best.safetensors").read_bytes()
    assert b"secret" not in text
    assert checkpoint.load(history.run).record["data"]["name"] == "mine.npz"
    assert str(path) in (history.run / "recipe.toml").read_text()
    train_recipe(None, history.run, resume=True, verbose=False)


def test_preparing_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepared = prepare(recipes.get("digits").with_overrides(["data.levels=2"]))
    assert prepared.model.levels == 2
    assert list(tmp_path.iterdir()) == []


def test_what_follows_the_data_is_said(tmp_path):
    overrides = ["network.name=pixelcnn", "output.name=bernoulli", "network.width=4", *SMALL[2:]]
    history = train_recipe("digits", tmp_path / "run", overrides=overrides, verbose=False)
    log = (history.run / "train.log").read_text()
    assert "17 levels: a categorical output instead of a Bernoulli" in log


def test_unknown_names(tmp_path):
    for name in ("keras", "a" * 300, "a" * 300 + ".toml"):
        with pytest.raises(UnknownName):
            train_recipe(name, tmp_path / "run")
    with pytest.raises(ConfigError, match="device 'cuda:7' is not available"):
        go(tmp_path / "run", "training.device=cuda:7")


def test_names_of_many_conditions_are_longer_than_that_of_a_file():
    names = [f"parameter {number}" for number in range(40)]
    setting = recipes.Setting("data", "condition", ", ".join(names))
    assert located(recipes.get("digits").with_overrides([setting])) == []
    assert condition_names(setting.value) == tuple(names)


def test_what_lies_here_under_the_name_of_a_column_is_no_file_of_conditions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mass").write_text("a file")
    (tmp_path / "mnist").mkdir()
    for setting, found in (
        ("data.condition=mass", []),
        ("data.condition=mnist", [("data", "condition", str(tmp_path / "mnist"))]),
        ("data.test=mnist", []),
        ("training.init=mnist", [("training", "init", str(tmp_path / "mnist"))]),
    ):
        assert located(recipes.get("shapes").with_overrides([setting])) == found, setting


def test_a_second_run_gets_a_folder_of_its_own_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    first, second = (train_recipe(None, overrides=SMALL) for _ in range(2))
    assert [first.run.name, second.run.name] == ["digits-digits", "digits-digits-2"]
    assert "runs/digits-digits is there already; this run is" in capsys.readouterr().err
    assert train_recipe(None, overrides=SMALL, resume=True, verbose=False).run == second.run


def test_a_new_run_passes_over_one_that_started_since(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    wanted = request(None, overrides=SMALL)
    with RunFolder(wanted.run):  # another process is loading its data
        assert default_run(wanted.recipe).name == "digits-digits-2"
        assert train_recipe(wanted).run.name == "digits-digits-2"
    assert "this run is runs/digits-digits-2" in capsys.readouterr().err


def test_a_run_that_finds_its_own_folder_goes_on_as_its_request_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stopped = pytest.raises(Interrupted)
    with signalled(1, signal.SIGINT), stopped as caught:
        train_recipe(request(None, overrides=SMALL, again="call it again"), verbose=False)
    assert caught.value.hint == "call it again"


def test_a_new_run_passes_over_what_is_no_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/digits-digits").mkdir(parents=True)
    (tmp_path / "runs/digits-digits-2").write_bytes(b"a file")
    assert default_run(recipes.get("digits")).name == "digits-digits-3"


def test_the_last_run_is_that_of_the_highest_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stored = recipes.get("digits").with_overrides(["data.name='shots.npy'"])
    for name in ("", "-3", "-b"):
        (tmp_path / f"runs/digits-shots{name}").mkdir(parents=True)
        (tmp_path / f"runs/digits-shots{name}/recipe.toml").write_text(stored.dumps())
    (tmp_path / "runs/digits-shots-7").mkdir()
    assert default_run(stored, resume=True).name == "digits-shots-3"
    assert default_run(stored).name == "digits-shots-8"


def test_a_model_to_start_from_becomes_the_parent(tmp_path):
    first = go(tmp_path / "first")
    second = go(tmp_path / "second", f"training.init='{first.run}'", "training.epochs=2")
    parent = checkpoint.load(second.run).record["parent"]
    assert parent["steps"] == first.steps
    old = checkpoint.load(first.run)
    assert parent["fingerprint"] == fingerprint(old.config(), old.state_dict())
    assert str(tmp_path).encode() not in (second.run / "best.safetensors").read_bytes()
    start = prepare(recipes.get("digits").with_overrides([f"training.init='{first.run}'"])).model
    assert same(dict(start.state_dict()), dict(old.state_dict()))


def test_where_a_run_starts_from_is_said_in_full_and_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "first").mkdir()
    short = recipes.get("digits").with_overrides(["training.init=first"])
    full = short.with_overrides(located(short))
    assert full.options.init == str(tmp_path / "first")
    assert not recipes.goes_on(short, full, "run")
    with pytest.raises(ConfigError, match=r"training\.init"):
        recipes.goes_on(short, short.with_overrides(["training.init=second"]), "run")


@pytest.mark.parametrize("gone", [False, True])
def test_a_run_that_goes_on_names_the_parent_that_it_started_from(tmp_path, gone):
    first = go(tmp_path / "first")
    run = go(tmp_path / "second", f"training.init='{first.run}'").run
    parent = checkpoint.load(run).record["parent"]
    if gone:
        shutil.rmtree(first.run)
    train_recipe(None, run, overrides=["training.epochs=2"], resume=True, verbose=False)
    assert checkpoint.describe(run / "last.safetensors")["record"]["parent"] == parent


def test_a_file_of_another_name_is_no_checkpoint(tmp_path):
    first = go(tmp_path / "first")
    run = go(tmp_path / "second", f"training.init='{first.run}'").run
    shutil.rmtree(first.run)
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "mine.ckpt").write_text("")
    with pytest.raises(ModelError, match="no model file"):
        train_recipe(None, run, resume=True, verbose=False)


def test_a_run_goes_on_as_many_classes_as_its_parent_counts(tmp_path):
    runs = []
    for classes in (3, 2):
        stored_images(path := tmp_path / f"{classes}" / "images.npy")
        np.savez(path.with_suffix(".npz"), images=np.load(path), labels=np.arange(40) % classes)
        own = [f"data.name='{path.with_suffix('.npz')}'", "data.source_levels=4"]
        own += [f"training.init='{each}'" for each in runs]
        runs.append(go(tmp_path / f"run{classes}", "network.condition=label", *own).run)
    train_recipe(None, runs[1], overrides=["training.epochs=2"], resume=True, verbose=False)
    last = checkpoint.load(runs[1] / "last.safetensors")
    assert (last.network.condition_size, last.record["classes_seen"]) == (3, [0, 1, 2])


def stored_images(path, seed=0):
    path.parent.mkdir(exist_ok=True)
    np.save(path, np.random.default_rng(seed).integers(0, 4, (40, 5, 7)).astype(np.uint8))
    return [f"data.name='{path}'", "data.source_levels=4"]


def test_a_run_goes_on_where_its_images_lie_now(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, moved = tmp_path / "a" / "mine.npy", tmp_path / "b" / "other.npy"
    where = stored_images(path)
    monkeypatch.chdir(path.parent)
    first = go(tmp_path / "run", "data.name='mine.npy'", "data.source_levels=4")
    monkeypatch.chdir(tmp_path)
    assert train_recipe(None, first.run, resume=True, verbose=False).steps == first.steps
    assert go(first.run, *where, resume=True).steps == first.steps
    moved.parent.mkdir()
    shutil.move(path, moved)
    with pytest.raises(DataError, match=r"mine\.npy, which is there no more") as caught:
        request(None, first.run, resume=True)
    assert "--data" in caught.value.hint
    longer = ["training.epochs=2", f"data.name='{moved}'"]
    again = train_recipe(None, first.run, overrides=longer, resume=True, verbose=False)
    assert again.steps > first.steps
    assert train_recipe(None, first.run, resume=True, verbose=False).steps == 2 * first.steps


@pytest.mark.parametrize("older", [False, True])
def test_a_run_does_not_go_on_on_other_images(tmp_path, older):
    first = go(tmp_path / "run", *stored_images(tmp_path / "a.npy"))
    if older:
        (first.run / "content.json").unlink()
    before = {path.name: path.read_bytes() for path in first.run.glob("*.*") if path.is_file()}
    record = checkpoint.load(first.run).record["content_hash"]
    other = stored_images(tmp_path / "b.npy", seed=1)
    stored_images(tmp_path / "a.npy", seed=1)  # the same path, another content
    for settings in (other, []):
        with pytest.raises(ConfigError, match=record["train"][:16]) as caught:
            train_recipe(None, first.run, overrides=settings, resume=True, verbose=False)
        assert "--data" in caught.value.hint
    assert {
        path.name: path.read_bytes() for path in first.run.glob("*.*") if path.is_file()
    } == before


@pytest.mark.parametrize("text", ["", "[]", '{"train": 7}', "not JSON", '"train"'])
def test_a_damaged_list_of_content_lets_no_other_images_in(tmp_path, text):
    first = go(tmp_path / "run", *stored_images(tmp_path / "a.npy"))
    (first.run / "content.json").write_text(text)
    with pytest.raises(ConfigError, match="was started on other"):
        go(first.run, *stored_images(tmp_path / "b.npy", seed=1), resume=True)
