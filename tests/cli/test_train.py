"""``pixelcnn train`` and ``pixelcnn data``."""

import signal

import numpy as np
import pytest
from PIL import Image

from cli.conftest import RECIPE
from pictures import save_pictures
from pixelcnn import checkpoint
from pixelcnn.training import launch
from training.trainings import signalled


def test_train_evaluate_and_score_from_the_run_folder(run, recipe, here):
    outcome = run("train", recipe, "--run", "r", "--set", "data.source_levels=4")
    assert outcome.stdout == "r\n"
    assert "epoch 2/2" in outcome.stderr
    found = run("evaluate", "r", "--json").json
    assert (found["split"], found["levels"]) == ("test", 4)
    assert run("score", "r", "images.npy").stdout.count("\n") == 61


def table(here):
    """Forty images with a label column."""
    values = np.random.default_rng(0).integers(0, 2, (40, 36))
    values[:, 0] = np.arange(40) % 2
    header = ",".join(["label", *(f"pixel{i}" for i in range(35))])
    np.savetxt(here / "table.csv", values, "%d", ",", header=header, comments="")


def class_folders(here):
    """Forty images in two folders."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 5, 7)).astype(np.uint8)
    save_pictures(here / "photos", noise, classes=("cat", "dog"))


@pytest.mark.parametrize(
    ("make", "data", "label"), [(class_folders, "photos", "dog"), (table, "table.csv", "1")]
)
def test_folder_names_and_label_columns_are_classes(run, recipe, here, make, data, label):
    make(here)
    words = ["--data", data, "--set", "network.condition=label", "--set", "data.levels=2"]
    if data.endswith("csv"):
        words += ["--set", "data.shape=[1, 5, 7]", "--set", "data.source_levels=2"]
    run("train", recipe, *words, "--epochs", 1, "--run", "r")
    assert checkpoint.load(here / "r").network.condition_size == 2
    assert run("sample", "r", "--label", label, "-n", 2, "--json").json["labels"] == [1, 1]
    assert run("evaluate", "r", "--json").json["images"] > 0
    score = run("evaluate", "r", "--label", label, "--json").json["nats_per_image"]
    assert score != run("evaluate", "r", "--json").json["nats_per_image"]


@pytest.mark.parametrize(("kind", "axes"), [("vector", (3,)), ("map", (3, 5, 7))])
def test_an_archive_brings_vectors_and_maps(run, recipe, here, kind, axes):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 4, (40, 5, 7)).astype(np.uint8)
    condition = rng.normal(size=(40, *axes)).astype(np.float32)
    np.savez(here / "given.npz", images=images, condition=condition)
    condition_is = f"network.condition={kind}"
    run("train", recipe, "--data", "given.npz", "--set", condition_is, "--epochs", 1, "--run", "r")
    assert checkpoint.load(here / "r").network.condition_size == 3
    assert run("evaluate", "r", "--json").json["images"] > 0
    assert run("score", "r", "given.npz").stdout.count("\n") == 41
    assert "needs a " + kind in run("score", "r", "images.npy", code=4).error
    assert "--condition" in run("sample", "r", code=2).stderr
    assert run("sample", "r", "--condition", "given.npz", "--json").json["shape"][0] == 40


def test_flags_change_the_recipe(run, recipe, here):
    run("train", recipe, "--epochs", 1, "--seed", 3, "--batch-size", 20, "--json")
    text = (here / "runs/small-images/recipe.toml").read_text()
    assert all(line in text for line in ("epochs = 1", "seed = 3", "batch_size = 20"))
    assert checkpoint.describe(here / "runs/small-images")["record"]["seed"] == 3


def test_dry_run_shows_the_model_and_writes_nothing(run, recipe, here):
    before = sorted(here.iterdir())
    text = run("train", recipe, "--dry-run").stdout
    assert "[network]" in text
    data, training, folder = text.splitlines()[-3:]
    found = run("train", recipe, "--dry-run", "--json").json
    assert found["recipe"]["training"]["epochs"] == 2
    assert all(f"{count:,} " in data for count in found["splits"].values())
    assert "2 epochs of " in training and "runs/small-images" in folder
    assert "1m, at " in run("train", recipe, "--dry-run", "--max-time", "1m").stdout
    assert sorted(here.iterdir()) == before


def test_a_tracker_that_is_not_there_is_refused_before_data_are_loaded(run, recipe, here):
    (here / "images.npy").unlink()
    for dry in ([], ["--dry-run"]):
        words = ("--set", "training.trackers=['nonesuch']", *dry)
        outcome = run("train", recipe, *words, code=2)
        assert outcome.error == "no tracker called 'nonesuch' is installed"


def test_dry_run_refuses_the_run_folder_that_a_training_would(run, recipe, here):
    run("train", recipe, "--epochs", 1, "--run", "r")
    (here / "file").touch()
    (here / "other.npy").write_bytes((here / "images.npy").read_bytes())
    np.save(here / "others.npy", np.load(here / "images.npy")[::-1].copy() // 2)
    for words, said in (
        (["--run", "file"], "is a file"),
        (["--run", "r"], "already holds"),
        (["--run", "r", "--resume", "--seed", 5], "was started with training.seed"),
        (["--run", "r", "--resume", "--data", "others.npy"], "was started on other"),
    ):
        for dry in ([], ["--dry-run"]):
            assert said in run("train", recipe, *words, *dry, code=2).error
    run("train", recipe, "--run", "r", "--resume", "--data", "other.npy", "--dry-run")


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("kerras-mnist",), 2, "kerras-mnist"),
        (("small.toml", "--set", "training.epoch=3"), 2, "Did you mean 'epochs'?"),
        (("small.toml", "--set", "epochs=3"), 2, "epochs=3"),
        (("small.toml", "--set", "training.epochs=many"), 2, "many"),
        (("small.toml", "--max-time", "soon"), 2, "soon"),
        (("small.toml", "--device", "abacus"), 2, "abacus"),
        (("small.toml", "--precision", "17"), 2, "17"),
        (("small.toml", "--data", "nowhere"), 2, "nowhere"),
        (("small.toml", "--data", "small.toml"), 3, "small.toml"),
        (("small.toml", "--size", "9"), 3, "9x9"),
        (("missing.toml",), 2, "missing.toml"),
    ],
)
def test_train_refuses(run, recipe, here, words, code, error):
    assert error in run("train", *words, code=code).error
    assert not list(here.glob("runs/*/best.safetensors"))


def test_an_existing_run_is_not_overwritten(run, recipe, here):
    run("train", recipe, "--run", "r", "--epochs", 1)
    best = (here / "r/best.safetensors").read_bytes()
    outcome = run("train", recipe, "--run", "r", code=2)
    assert "--resume" in outcome.hint
    assert (here / "r/best.safetensors").read_bytes() == best
    run("train", recipe, "--run", "r", "--resume", "--epochs", 2)


def test_the_next_commands_can_be_typed_as_they_are_said(run, recipe, here):
    said = run("train", recipe, "--run", "my run", "--epochs", 1).stderr
    assert "pixelcnn sample 'my run'; measure it: pixelcnn evaluate 'my run'" in said


STOPS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(("signum", "code"), STOPS)
def test_signals_stop_and_save(run, recipe, here, signum, code):
    with signalled(3, signum):
        outcome = run("train", recipe, "--run", "r", "--epochs", 100_000, code=code)
    assert "--resume" in outcome.hint
    checkpoint.load(here / "r")


@pytest.mark.parametrize("code", [0, 5, 130])
def test_of_several_processes_those_that_train_do_the_talking(run, recipe, monkeypatch, code):
    monkeypatch.setattr(launch, "supervise", lambda *_: code)
    assert run("train", recipe, "--devices", 2, code=code).stderr == ""


def test_a_run_folder_from_somebody_else_does_no_harm(run, recipe, here):
    (here / "given").mkdir()
    (here / "diary").write_text("dear to somebody")
    (here / "given/recipe.toml").write_text(RECIPE)
    (here / "given/run.lock").symlink_to("../diary")
    outcome = run("train", "--run", "given", "--resume", code=2)
    assert outcome.error == "given/run.lock is a symbolic link, and is not touched"
    assert (here / "diary").read_text() == "dear to somebody"


@pytest.mark.parametrize("name", ["../../outside", "/tmp/outside", ".hidden", "a\\b", "x" * 200])
def test_a_recipe_that_names_itself_chooses_no_path(run, recipe, here, name):
    (here / "given.toml").write_text(f"# recipe: {name}\n{RECIPE}")
    before = sorted(here.parent.iterdir()), sorted(here.iterdir())
    assert "cannot be the name of a recipe" in run("train", "given.toml", code=2).error
    assert (sorted(here.parent.iterdir()), sorted(here.iterdir())) == before


def test_a_run_of_ones_own_data_is_measured_on_them(run, recipe, here):
    photos(here / "photos")
    run("train", recipe, "--data", "photos", "--size", 8, "--epochs", 1, "--run", "r")
    outcome = run("evaluate", "r", "--split", "all", "--json")
    assert outcome.json["images"] == 12
    said = f"measuring on {here / 'photos'}, as the recipe of the run says\n"
    assert outcome.stderr.startswith(said)
    photos(here / "others")
    own = ("--data", "photos", "--size", 8, "--set", "data.test=others")
    run("train", recipe, *own, "--epochs", 1, "--run", "s")
    assert f"measuring on {here / 'others'}, as" in run("evaluate", "s").stderr


def test_data_that_have_changed_since_training_are_told_of(run, recipe, here):
    photos(here / "photos")
    run("train", recipe, "--data", "photos", "--size", 8, "--epochs", 1, "--run", "r")
    assert "warning" not in run("evaluate", "r").stderr
    for path in (here / "photos").glob("*[02468].png"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    assert "photos holds other images than this model" in run("evaluate", "r").stderr


def photos(folder):
    noise = np.random.default_rng(0).integers(0, 256, (12, 9, 8), np.uint8)
    save_pictures(folder, noise, "{:02}.png")


def test_data_check_and_prepare(run, here):
    photos(here / "photos")
    assert "12 good" in run("data", "check", "photos").stdout
    found = run("data", "prepare", "photos", "packed", "--size", 8, "--json").json
    assert (found["images"], found["shape"]) == (12, [1, 8, 8])
    assert "packed" in run("data", "prepare", "photos", "packed", code=2).error


def test_what_is_said_to_be_typed_next_can_be_pasted(run, here, recipe):
    photos(here / "my photos")
    packed = run("data", "prepare", "--size", 8, "--", "my photos", "-my packed").stderr
    assert packed.rstrip().endswith("train with --data './-my packed'")
    assert "pixelcnn sample ./-r; " in run("train", recipe, "--run", "./-r").stderr
    assert run("train", "my photos", code=2).hint.endswith("train with --data 'my photos'")


def test_data_check_names_what_is_wrong(run, here):
    photos(here / "photos")
    (here / "photos/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    (here / "photos/empty.png").write_bytes(b"")
    found = run("data", "check", "photos", "--json", code=3).json
    assert (found["images"], found["errors"], found["ok"]) == (14, 2, False)
    outcome = run("data", "check", "photos", code=3)
    assert "broken.png" in outcome.stdout
    assert "empty.png" in outcome.stdout
    assert "no/where" in run("data", "check", "no/where", code=3).error


def test_sizes_that_differ_ask_for_one(run, here):
    photos(here / "photos")
    Image.new("L", (20, 20)).save(here / "photos/large.png")
    outcome = run("data", "check", "photos", code=3)
    assert "--size" in outcome.stderr
    run("data", "check", "photos", "--size", 8)
