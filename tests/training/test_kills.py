"""Whatever ends a training, at whatever moment: it goes on and ends as if nothing had happened."""

import os
import random
import signal
import time

import pytest

from pixelcnn.training import checkpoints
from training.trainings import assert_same_end

OPTIONS = {"epochs": 8, "checkpoint_every": "0s", "sample_every": 1, "sample_count": 1}
"""Eight epochs of four steps; a checkpoint after each step, so that many a kill hits a write."""

FEW, MANY = 2, 10
"""Random moments for the fast tests and for the slow ones."""


@pytest.fixture(scope="module")
def whole(nursery, tmp_path_factory):
    """The uninterrupted training, and the seconds it takes."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    return run, nursery.finish(run, **OPTIONS)


def moments(count, seconds, seed):
    """Random moments of a training, in order."""
    draw = random.Random(seed)
    return [draw.uniform(0, seconds) for _ in range(count)]


def assert_readable(run):
    """The latest checkpoint, if there is one, is whole."""
    passed_over = []
    checkpoints.latest(run / "checkpoints", passed_over.append)
    assert passed_over == []


def assert_survives(nursery, whole, run, count, *signals, codes):
    """Trainings that are interrupted one after the other end as the uninterrupted one."""
    for moment in moments(count, whole[1], seed=len(signals)):
        assert nursery.interrupt(run, moment, *signals, **OPTIONS) in codes
        assert_readable(run)
    nursery.finish(run, **OPTIONS)
    assert_same_end(run, whole[0])


ENDINGS = {
    "kill": ((signal.SIGKILL,), (-9, 0)),
    "terminate": ((signal.SIGTERM,), (-15, 143, 0)),
    "interrupt": ((signal.SIGINT,), (-2, 130, 0)),
    "interrupt twice": ((signal.SIGINT, signal.SIGINT), (-2, 130, 0)),
    "hang up twice": ((signal.SIGHUP, signal.SIGHUP), (-1, 129, 0)),
}
"""Signals, and how a training may end: by the signal before it has begun, with 0 when it was over."""


@pytest.mark.parametrize(
    ("ending", "count"),
    [
        *((ending, FEW) for ending in ("kill", "interrupt twice")),
        *(pytest.param(ending, MANY, marks=pytest.mark.slow) for ending in ENDINGS),
    ],
)
def test_a_training_survives(ending, count, nursery, whole, tmp_path):
    signals, codes = ENDINGS[ending]
    assert_survives(nursery, whole, tmp_path / "run", count, *signals, codes=codes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_quick(number, nursery, whole, tmp_path):
    pid = nursery.start(tmp_path / "run", epochs=100_000)
    while not (tmp_path / "run" / "best.safetensors").exists():
        time.sleep(0.02)
    os.kill(pid, number)
    start = time.monotonic()
    assert nursery.wait(pid) == 128 + number
    assert time.monotonic() - start < 5
    assert (tmp_path / "run" / "last.safetensors").exists()


def test_out_of_memory_is_said_in_one_line(nursery, tmp_path):
    run, big = tmp_path / "run", {"images": 1_297, "batch_size": 1_297, "epochs": 1}
    pid = nursery.start(run, room=48 * 2**20, **big)
    assert nursery.wait(pid) == 5
    said, hint = run.with_suffix(".said0").read_text().split("\n")
    assert said == "out of memory at batch size 1297"
    assert hint.startswith("try --batch-size 648; --set training.micro_batch_size=648 ")
