"""Several processes train as one would."""

import os
import signal
import time

import pytest

from pixelcnn import checkpoint
from pixelcnn.errors import ConfigError
from pixelcnn.training import processes
from pixelcnn.training.launch import environments
from pixelcnn.training.processes import placed
from pixelcnn.training.run import RunFolder
from training.trainings import assert_same_end, state

EXACT = {"dropout": 0.0, "images": 65, "val": 130, "epochs": 2, "log_every": 1}
"""No dropout, which differs between processes; the last batch of an epoch has a single image."""

NOISY = {"epochs": 6, "checkpoint_every": "0s", "sample_count": 1}
"""Six epochs of four steps with dropout; a checkpoint after each step."""


@pytest.fixture(scope="module")
def alone(nursery, tmp_path_factory):
    """The training by one process."""
    run = tmp_path_factory.mktemp("runs") / "alone"
    nursery.finish(run, **EXACT)
    return run


@pytest.fixture(scope="module")
def together(nursery, tmp_path_factory):
    """An uninterrupted training by two processes."""
    run = tmp_path_factory.mktemp("runs") / "together"
    nursery.finish(run, size=2, **NOISY)
    return run


def numbers(run):
    """The cells of ``metrics.csv``; 0 where there is none."""
    lines = (run / "metrics.csv").read_text().splitlines()[1:]
    return [float(cell or 0) for line in lines for cell in line.split(",")]


def assert_close(run, other):
    """Raw weights, averaged ones and the optimiser's moments agree within 1e-6, losses as well."""
    for name in ("raw", "averaged"):
        one, two = (checkpoint.load(r / "last.safetensors", weights=name) for r in (run, other))
        pairs = zip(one.parameters(), two.parameters(), strict=True)
        assert max(float((a - b).detach().abs().max()) for a, b in pairs) < 1e-6
    moments, others = (state(r)["optimizer"]["state"] for r in (run, other))
    for key, moment in moments.items():
        assert float((moment["exp_avg"] - others[key]["exp_avg"]).abs().max()) < 1e-6
    assert numbers(run) == pytest.approx(numbers(other), abs=1e-6, nan_ok=True)


@pytest.mark.parametrize(
    ("size", "at_once"), [pytest.param(2, 0, marks=pytest.mark.slow), (3, 0), (2, 7)]
)
def test_they_train_as_one_would(size, at_once, nursery, alone, tmp_path):
    run = tmp_path / "run"
    nursery.finish(run, size=size, micro_batch_size=at_once, **EXACT)
    assert_close(run, alone)
    assert {path.name for path in run.iterdir()} == {path.name for path in alone.iterdir()}
    assert (run / "train.log").read_text().count("epoch 2/2") == 1


@pytest.mark.slow
def test_they_take_the_steps_of_muon_together(nursery, tmp_path):
    """Its steps change more than its gradients do, where a direction is hardly ever seen: 1e-3, not 1e-6."""
    runs = [tmp_path / "alone", tmp_path / "together"]
    for size, run in enumerate(runs, 1):
        nursery.finish(run, size=size, optimizer="muon", width=16, **EXACT)
    one, two = (checkpoint.load(run / "last.safetensors") for run in runs)
    pairs = zip(one.parameters(), two.parameters(), strict=True)
    assert max(float((a - b).detach().abs().max()) for a, b in pairs) < 1e-3
    assert numbers(runs[0]) == pytest.approx(numbers(runs[1]), abs=1e-3, nan_ok=True)


@pytest.mark.parametrize("value", ["abc", "-1", "", "\u0663", "9" * 5_000])
@pytest.mark.parametrize("key", ["RANK", "LOCAL_WORLD_SIZE"])
def test_a_place_that_is_no_number_is_refused(key, value):
    with pytest.raises(ConfigError, match=f"{key} must be a number"):
        placed({"RANK": "0", "WORLD_SIZE": "1", key: value})


@pytest.mark.parametrize(
    "place",
    [
        {"RANK": "2", "WORLD_SIZE": "2"},
        {"RANK": "0", "WORLD_SIZE": "0"},
        {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "2", "LOCAL_WORLD_SIZE": "2"},
        {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "2"},
        {"SLURM_PROCID": "0", "SLURM_LOCALID": "2", "SLURM_STEP_NUM_TASKS": "2"},
    ],
)
def test_a_place_beyond_the_processes_that_there_are_is_refused(place):
    with pytest.raises(ConfigError, match=r"is no place among \d processes") as caught:
        placed(place)
    assert "launcher" in caught.value.hint


def test_who_is_told_where_to_meet_need_not_be_told_the_port(monkeypatch):
    class Met(Exception):
        pass

    def meet(*_, **__):
        raise Met(os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"])

    monkeypatch.setattr(processes, "rendezvous", meet)
    monkeypatch.delenv("MASTER_PORT", raising=False)
    place = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "node0", "SLURM_JOB_ID": "20123"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Met) as caught, processes.joined(1, 1):
        pass
    assert caught.value.args == ("node0", "15123")
    assert "MASTER_PORT" not in os.environ


def test_they_evaluate_as_one_does(nursery, tmp_path):
    found = []
    for size in (1, 2, 3):
        run = tmp_path / str(size)
        nursery.finish(run, size=size, **(EXACT | {"learning_rate": 0.0, "epochs": 1}))
        record = checkpoint.describe(run)["record"]
        found.append((record["validation"]["nats_per_image"], record["validation_quantiles"]))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("sizes", [(2, 1), pytest.param((1, 2), marks=pytest.mark.slow)])
def test_another_number_of_processes_may_go_on(sizes, nursery, alone, tmp_path):
    first, second = sizes
    nursery.finish(tmp_path / "run", size=first, **(EXACT | {"epochs": 1}))
    nursery.finish(tmp_path / "run", size=second, **EXACT)
    assert_close(tmp_path / "run", alone)


def struck(nursery, folder, victim, signum):
    """A training of two processes, one of which gets a signal after its sixth step: its run, and both."""
    run = folder / "run"
    pids = nursery.team(run, 2, **NOISY)
    while not (run / "checkpoints" / "step-00000006.ckpt").exists():
        time.sleep(0.005)
    os.kill(pids[victim], signum)
    return run, pids


@pytest.mark.parametrize("victim", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_one_that_is_killed_ends_the_others_and_all_go_on(victim, nursery, together, tmp_path):
    run, pids = struck(nursery, tmp_path, victim, signal.SIGKILL)
    start = time.monotonic()
    assert nursery.wait(pids[1 - victim]) == 1
    assert time.monotonic() - start < 20
    assert nursery.wait(pids[victim]) == -9
    assert "another process" in run.with_suffix(f".said{1 - victim}").read_text()
    nursery.finish(run, size=2, **NOISY)
    assert_same_end(run, together)


@pytest.mark.parametrize("victim", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_signal_to_one_stops_all_at_the_same_step(victim, nursery, together, tmp_path):
    run, pids = struck(nursery, tmp_path, victim, signal.SIGTERM)
    assert [nursery.wait(pid) for pid in pids] == [143, 143]
    said = {run.with_suffix(f".said{rank}").read_text() for rank in (0, 1)}
    assert len(said) == 1
    nursery.finish(run, size=2, **NOISY)
    assert_same_end(run, together)


def test_a_loss_that_is_not_finite_in_one_is_skipped_by_all(nursery, tmp_path):
    options = EXACT | {"on_nan": "skip"}
    nursery.finish(tmp_path / "one", bad=(3, 0), **options)
    nursery.finish(tmp_path / "two", size=2, bad=(3, 1), **options)
    assert_close(tmp_path / "two", tmp_path / "one")


def test_a_loss_that_is_not_finite_in_one_stops_all(nursery, tmp_path):
    pids = nursery.team(tmp_path / "run", 2, bad=(3, 1), **EXACT)
    assert [nursery.wait(pid) for pid in pids] == [1, 1]
    said = (tmp_path / "run.said0").read_text()
    assert "the loss of step 4 is nan" in said


def test_a_folder_in_use_is_refused_by_all(nursery, tmp_path):
    with RunFolder(tmp_path / "run"):
        pids = nursery.team(tmp_path / "run", 2, **EXACT)
        assert [nursery.wait(pid) for pid in pids] == [2, 2]
    assert "in use by process" in (tmp_path / "run.said1").read_text()


def test_other_data_are_noticed(nursery, tmp_path):
    places = environments({}, 2, nodes=1)
    pids = [
        nursery.start(tmp_path / "run", place, **(EXACT | {"images": 64 + rank}))
        for rank, place in enumerate(places)
    ]
    assert sorted(nursery.wait(pid) for pid in pids) == [1, 2]
    assert "other data than process 0" in (tmp_path / "run.said1").read_text()


def test_a_time_limit_is_settled_by_the_first(nursery, tmp_path):
    nursery.finish(tmp_path / "run", size=2, epochs=10_000, max_time="1s")
    assert 1 <= state(tmp_path / "run")["step"] < 40_000
