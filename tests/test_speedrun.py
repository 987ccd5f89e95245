"""Speed-runs: the clock, the figure, and when a few runs make a record."""

import contextlib
import json
import math

import numpy as np
import pytest
import torch

import pixelcnn as px
from benchmarks import speedrun
from benchmarks.leaderboard import BOARD, board, judged, rows, with_board
from benchmarks.significance import p_value, upper_tail
from benchmarks.tracks import TRACKS, Track
from pixelcnn.training import recipe as recipes


@pytest.mark.parametrize(
    ("t", "freedom", "tail"),
    [
        (1.0, 1, 0.25),
        (1.886, 2, 0.1),
        (4.541, 3, 0.01),
        (2.015, 5, 0.05),
        (2.365, 7, 0.025),
        (1.96, 10_000, 0.025),
        (0.0, 4, 0.5),
        (-1.0, 1, 0.75),
    ],
)
def test_tails_are_those_of_the_tables(t, freedom, tail):
    assert upper_tail(t, freedom) == pytest.approx(tail, abs=1e-4)


@pytest.mark.parametrize("freedom", [1, 2, 5, 8])
def test_a_tail_is_the_integral_of_the_density(freedom):
    grid = torch.linspace(0, 1.3, 2001, dtype=torch.float64)
    scale = math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2)
    density = scale / math.sqrt(freedom * math.pi)
    values = density * (1 + grid**2 / freedom) ** (-(freedom + 1) / 2)
    within = float(torch.trapezoid(values, grid))
    assert upper_tail(1.3, freedom) == pytest.approx(0.5 - within, abs=1e-6)


def test_equal_runs_are_as_sure_as_can_be():
    assert [p_value([1.0, 1.0], against) for against in (2.0, 1.0, 0.5)] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("track", TRACKS.values(), ids=TRACKS)
def test_a_track_says_either_how_good_or_how_long(track):
    assert (track.target is None) != (track.limit is None)
    recipe = recipes.get(track.recipe).with_overrides([*track.settings, *track.ours])
    limit = recipe.options.seconds
    assert limit == track.limit if track.limit else math.isfinite(limit)
    plain = recipes.get(track.plain).with_overrides(track.settings)
    assert plain.data == recipe.data
    assert plain.network == recipes.get(track.plain).network, "the tutorial's own"


def made(track, figures, seconds=100.0):
    runs = [{"figure": figure, "seconds": seconds, "parameters": 1} for figure in figures]
    mean = sum(figures) / len(figures)
    return {"track": track, "runs": runs, "figure": mean, "seconds": seconds}


def test_a_time_is_a_record_if_its_runs_surely_reach_the_figure():
    assert judged(made("mnist-81.30", [81.2, 81.21, 81.19]), None)["record"]
    unsure = judged(made("mnist-81.30", [81.2, 81.35, 81.1]), None)
    assert not unsure["record"] and unsure["p"] > 0.01
    assert not judged(made("mnist-81.30", [81.0]), None)["record"]
    slower = judged(made("mnist-81.30", [81.2, 81.21, 81.19], 200.0), {"seconds": 150.0})
    assert not slower["record"] and slower["p"] < 0.01


def test_a_figure_is_a_record_if_its_runs_surely_beat_the_last_one_in_time():
    before = {"figure": 80.0, "seconds": 900.0}
    better = [79.5, 79.51, 79.49]
    assert judged(made("mnist-15m", better, 900.0), before)["record"]
    assert not judged(made("mnist-15m", better, 930.0), before)["record"], "too late"
    assert not judged(made("mnist-15m", [79.5, 80.4], 900.0), before)["record"]
    assert judged(made("mnist-15m", [80.0, 80.1], 900.0), None)["record"], "the first one"


def test_the_board_is_made_of_the_rows():
    page = BOARD.read_text(encoding="utf-8")
    assert page == with_board(page, rows())
    for row in rows():
        assert row["track"] in TRACKS
        assert row["record"] == judged(row, None)["record"]
    assert "No row yet." in board([])


@pytest.fixture
def small(monkeypatch):
    """A track that takes a second."""
    settings = ("network.width=6", "network.depth=1", "network.first_kernel=3")
    track = Track("small", "digits", "small", "bits/dim", settings, target=4.0, cores=1)
    monkeypatch.setitem(TRACKS, "small", track)
    return ["--set", "training.epochs=3", "--set", "training.validate_every=1"]


def test_a_run_stops_where_the_figure_is_reached(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(px, "fit", lambda model, *sets, callbacks, **options: stopped(callbacks))
    out = tmp_path / "rows.jsonl"
    monkeypatch.setattr(speedrun.os, "sched_setaffinity", lambda *_: None, raising=False)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(speedrun.memory, "keep_memory", lambda: None)
    assert speedrun.main(["small", "--runs", "2", "--out", str(out), *small]) == 0
    one, row = map(json.loads, out.read_text().splitlines())
    assert [each["seed"] for each in row["runs"]] == [0, 1] and one["runs"] == row["runs"][:1]
    assert row["runs"][0]["images"] == 200, "all validation images"
    assert row["figure"] == pytest.approx(row["runs"][0]["nats"] / 64 / math.log(2), rel=0.05)
    assert row["command"].startswith("python -m benchmarks speedrun small --runs 2 --set")
    assert str(tmp_path) not in json.dumps(row)


def test_a_command_that_was_ended_goes_on_with_the_runs_that_it_lacks(small, tmp_path):
    out = tmp_path / "rows.jsonl"
    options = speedrun.parse(["small", "--runs", "3", "--out", str(out), *small])
    assert speedrun.begun(options, "ours") == []
    runs = made("small", [3.9, 3.8])["runs"]
    row = speedrun.summary("small", "ours", options.settings, runs)
    out.write_text(json.dumps(row) + "\n")
    assert speedrun.begun(options, "ours") == runs
    assert speedrun.begun(options, "plain PyTorch") == []
    options.runs = 2
    assert speedrun.begun(options, "ours") == [], "it had them all: begun anew"
    options.runs = 3
    out.write_text(json.dumps(row | {"commit": "another"}) + "\n")
    assert speedrun.begun(options, "ours") == []


@pytest.mark.slow
def test_two_processes_make_one_row(data_root, tmp_path):
    out = tmp_path / "rows.jsonl"
    words = ["keras", "--processes", "2", "--runs", "2", "--set", "training.max_time=1s"]
    assert speedrun.main([*words, "--set", "network.width=8", "--out", str(out)]) == 0
    row = json.loads(out.read_text().splitlines()[-1])
    assert [each["seed"] for each in row["runs"]] == [0, 1]
    assert " --runs 2 --processes 2 --set" in row["command"]


def stopped(callbacks):
    """What ``fit`` would do with the callback, at figures above and below 4 bits/dim of 64 sub-pixels."""
    asked = []
    for bits in (4.01, 3.99):

        class State:
            steps = 7
            validation = type("Validation", (), {"mean": bits * 64 * math.log(2)})

            def stop(self, reason, bits=bits):
                asked.append((bits, reason))

        for callback in callbacks:
            callback.on_validation(State())
    assert asked == [(3.99, "target")]
    return State


def test_plain_pytorch_learns_the_same_data():
    splits = px.data.load("digits")
    model = px.create_model("pixelcnn", splits.train, seed=0, width=8, depth=1)
    options = px.TrainingOptions(batch_size=32, max_time="0.5s", device="cpu")
    before = px.evaluate(model, splits.val, limit=40).nats
    twin, steps = speedrun.learned(model, splits, options, None)
    assert steps > 0 and not twin.training
    assert px.evaluate(twin, splits.val, limit=40).nats < before


@pytest.mark.parametrize("network", ["pixelcnn", "gated-pixelcnn"])
def test_plain_pytorch_sees_no_pixel_that_it_predicts(network):
    splits = px.data.load("digits")
    model = px.create_model(network, splits.train, seed=0, width=8, depth=1)
    options = px.TrainingOptions(batch_size=32, max_time="0.3s", device="cpu")
    twin, steps = speedrun.learned(model, splits, options, None)
    assert steps > 1
    images = splits.val.images[:2].clone()
    later = images.clone()
    later.flatten(1)[:, 27:] = 16 - later.flatten(1)[:, 27:]
    with torch.no_grad():
        found = [twin(each).flatten(2)[:, :, :28] for each in (images, later)]
    assert torch.equal(*found)


def test_keras_is_asked_to_learn_the_images_of_the_track(monkeypatch):
    asked = []

    class Worker:
        def ask(self, line):
            _, seconds, folder = line.split()
            sizes = [len(np.load(f"{folder}/{name}.npy")) for name in ("train", "val")]
            asked.append((float(seconds), sizes))
            return 2.0

    monkeypatch.setattr(speedrun, "loop", lambda backend: contextlib.nullcontext(Worker()))
    track = Track("digits", "digits", "digits", "nats/dim", ("training.max_time=7s",), target=1.0)
    row = speedrun.run(track, (), 1, "Keras, torch")
    assert asked == [(7.0, [1297, 200])]
    assert (row["seed"], row["seconds"], row["nats"], row["figure"]) == (1, 7.0, 128.0, 2.0)
    assert speedrun.command("keras", "Keras, torch", (), 1).endswith("--runs 1 --keras torch")


@pytest.mark.parametrize(
    "words",
    [
        ["mnist-15m", "--keras", "jax"],
        [],
        ["nonsense"],
        ["keras", "--runs", "0"],
        ["keras", "--set", "data.split=standard"],
    ],
)
def test_what_breaks_a_rule_is_a_usage_error(words):
    with pytest.raises(SystemExit) as ending:
        speedrun.parse(words)
    assert ending.value.code == 2
