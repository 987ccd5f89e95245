"""The queue of trainings: anybody can start it again, and it says what is done."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from benchmarks import trainings
from benchmarks.queued import Training, finished, overview, state
from benchmarks.trainings import APART, QUEUE, main
from pixelcnn.errors import ConfigError
from pixelcnn.training import recipe as recipes
from pixelcnn.training.history import COLUMNS
from pixelcnn.training.run import RunFolder
from pixelcnn.training.train import train_recipe

SMALL = ("network.width=6", "network.depth=1", "training.sample_count=0")


def test_every_recipe_is_trained_or_says_why_not():
    trained = {training.recipe for training in QUEUE}
    assert sorted(trained | set(APART)) == recipes.names()
    assert not trained & set(APART)
    assert list(trainings.untrained()) == recipes.names()


@pytest.mark.parametrize("training", QUEUE, ids=lambda training: training.name)
def test_the_settings_of_a_training_are_those_of_its_recipe(training):
    recipe = recipes.get(training.recipe).with_overrides(training.settings)
    assert recipe.options.max_time is None and training.minutes > 0


def test_names_are_folders_of_their_own():
    names = [training.seeded(seed).name for training in QUEUE for seed in (0, 1)]
    assert len(set(names)) == len(names)


def test_readme_says_of_every_recipe_what_it_reached_or_what_is_missing(root):
    results = (root / "RESULTS.md").read_text(encoding="utf-8")
    table = (root / "README.md").read_text(encoding="utf-8").split("## Recipes\n")[1]
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| (.+) \|$", table.split("\n## ")[0], re.MULTILINE)
    assert sorted(name for name, _ in rows) == recipes.names()
    for name, said in rows:
        lines = re.findall(rf"^\| `{name}`.*$", results, re.MULTILINE)
        found = [number for line in lines for number in re.findall(r"(\d+\.\d+) ± ", line)]
        figure = re.match(r"(\d+\.(\d+)) ± ", said)
        if "(validation)" in said:
            shown = rf"^\| [^|]*\| `{name}` \|.*\D{said.split()[0]}\D"
            assert re.search(shown, results, re.MULTILINE), name
        elif figure is None:
            assert said == trainings.untrained()[name]
        else:
            assert figure[1] in {f"{float(each):.{len(figure[2])}f}" for each in found}, name


@pytest.fixture
def queue(monkeypatch):
    """Two trainings that are over in a second."""
    settings = (*SMALL, "training.epochs=1")
    short = Training("short", "digits", 5, settings)
    monkeypatch.setattr(trainings, "QUEUE", (short, Training("other", "digits", 5, settings)))
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None, raising=False)
    return short


def test_a_training_is_begun_for_so_long_and_goes_on_as_it_was(queue, tmp_path):
    run = tmp_path / "short"
    words = queue.command(run, cores=2)
    assert words[:2] == ["train", "digits"] and "--resume" in words
    assert words[-2:] == ["--max-time", "150s"]
    run.mkdir()
    (run / "recipe.toml").touch()
    assert "--max-time" not in queue.command(run, cores=1)


def test_a_row_that_was_cut_keeps_no_queue_from_being_listed(queue, tmp_path):
    (tmp_path / "short").mkdir()
    (tmp_path / "short/recipe.toml").touch()
    (tmp_path / "short/metrics.csv").write_text(f"{','.join(COLUMNS)}\n12")
    assert state(queue, tmp_path) == ("begun", "not validated yet")


def test_a_share_of_its_time_makes_a_training_shorter(queue):
    assert trainings.parse(["short", "--share", "0.2"]).trainings[0].minutes == 1


def in_this_process(training, root, cores):
    """Trains on a few images."""
    settings = [*training.settings, "training.batch_size=400", "training.epochs=1"]
    recipe = recipes.get(training.recipe)
    train_recipe(recipe, root / training.name, overrides=settings, resume=True, verbose=False)
    return 0


def test_the_queue_trains_what_is_not_done_and_leaves_a_row(queue, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(trainings, "train", in_this_process)
    root = ["--root", str(tmp_path), "--core", str(min(trainings.allowed()))]
    assert state(queue, tmp_path) == ("waiting", "5 min of a core")
    assert main(["short", *root]) == 0
    row = finished(tmp_path / "short")
    assert row["line"].startswith("| `digits` | digits, 17 levels | test, 300 |")
    assert row["command"].startswith("pixelcnn train digits --set")
    assert row["result"]["images"] == 300 and str(tmp_path) not in row["command"]
    assert state(queue, tmp_path) == ("done", f"{row['figure']} test")
    capsys.readouterr()
    assert main(["short", *root]) == 0
    assert "short: done before" in capsys.readouterr().out
    assert main(["--lines", *root]) == 0
    assert capsys.readouterr().out == row["line"] + "\n"
    assert "waiting" in overview(trainings.QUEUE, tmp_path)


def test_it_waits_for_a_folder_that_is_in_use_and_for_nothing_else(tmp_path, monkeypatch, capsys):
    with contextlib.ExitStack() as held:
        held.enter_context(RunFolder(tmp_path / "one"))
        monkeypatch.setattr(trainings.time, "sleep", lambda _: held.close())
        trainings.wait_for(tmp_path / "one")
    assert "is in use by process" in capsys.readouterr().out
    (tmp_path / "in use").write_text("")
    with pytest.raises(ConfigError):
        trainings.wait_for(tmp_path / "in use")


def test_a_row_of_another_model_counts_for_nothing(tmp_path):
    (tmp_path / "row.json").write_text(json.dumps({"fingerprint": "a"}))
    (tmp_path / "result.json").write_text(json.dumps({"fingerprint": "b"}))
    assert finished(tmp_path) is None
    (tmp_path / "result.json").write_text(json.dumps({"fingerprint": "a"}))
    assert finished(tmp_path) == {"fingerprint": "a"}


def test_a_training_that_fails_does_not_keep_the_others_waiting(
    queue, tmp_path, monkeypatch, capsys
):
    codes = iter([2, 0])
    monkeypatch.setattr(trainings, "train", lambda *_: next(codes))
    monkeypatch.setattr(trainings, "row_of", lambda *_: {"figure": "1 nat", "part": "test"})
    (tmp_path / "other").mkdir()
    assert main(["--root", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "short: failed with exit code 2" in said and "other: done: 1 nat" in said


def test_a_signal_stops_the_queue(queue, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trainings, "train", lambda *_: 143)
    assert main(["--root", str(tmp_path)]) == 130
    assert "the same command goes on" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["nonsense"], ["--core", "x"], ["--core", "4096"], ["--share", "0"]]
)
def test_an_unknown_training_core_or_share_is_a_usage_error(words):
    with pytest.raises(SystemExit) as ending:
        trainings.parse(words)
    assert ending.value.code == 2


KILLED = """
import sys
from benchmarks import trainings
trainings.PATIENCE = 0.2
settings = ("network.width=6", "network.depth=1", "training.sample_count=0", "training.epochs=5",
            "training.validate_every=1")
trainings.QUEUE = (trainings.Training("one", "digits", 60, settings),)
sys.exit(trainings.main(["--root", sys.argv[1]]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM])
def test_a_queue_that_was_stopped_goes_on(root, tmp_path, stop):
    words = [sys.executable, "-c", KILLED, str(tmp_path)]
    paths = os.pathsep.join([str(root), str(root / "src")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(words, cwd=root, env=environment, stdout=subprocess.DEVNULL)
    checkpoints = tmp_path / "one" / "checkpoints"
    while not list(checkpoints.glob("*.ckpt")):
        assert first.poll() is None
        time.sleep(0.1)
    first.send_signal(stop)
    assert first.wait(60) == (130 if stop == signal.SIGTERM else -stop)
    assert (
        subprocess.run(words, cwd=root, env=environment, timeout=600, check=False).returncode == 0
    )
    row = json.loads((tmp_path / "one" / "row.json").read_text())
    assert row["result"]["steps"] <= 41 * 5 and row["result"]["images"] == 300
