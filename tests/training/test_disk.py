"""A disk that is full at any moment: it is said so, and nothing is lost once there is room again.

The campaign ``disks`` of ``tests.fuzz`` tries every single moment.
"""

import pytest

from faults import disk_full_at
from pixelcnn.errors import ResourceError
from pixelcnn.training import checkpoints
from training.trainings import assert_same_end, train

OPTIONS = {
    "epochs": 2, "checkpoint_every": "0s", "sample_count": 0, "log_every": 1, "trackers": []
}  # fmt: skip
"""Without TensorBoard, which writes from a thread of its own, at moments of its own."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The uninterrupted training, and the operations it needs."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    with disk_full_at(10**9) as disk:
        train(run, **OPTIONS)
    return run, disk.used


def assert_survives(whole, run, number):
    """A training on a disk that is full at some moment says so, and ends well once there is room."""
    with (
        disk_full_at(number),
        pytest.raises(ResourceError, match="disk full: cannot write") as caught,
    ):
        train(run, **OPTIONS)
    assert caught.value.exit_code == 5
    assert "free some space" in caught.value.hint
    damaged = []
    checkpoints.latest(run / "checkpoints", damaged.append)
    assert damaged == []
    train(run, resume=True, **OPTIONS)
    assert_same_end(run, whole[0])
    assert list(run.glob("**/.*.tmp")) == []


def test_a_disk_that_is_full_now_and_then(whole, tmp_path):
    for number in range(1, whole[1], 23):
        assert_survives(whole, tmp_path / str(number), number)


def test_the_message_names_the_file_and_the_bytes_it_needs(whole, tmp_path):
    said = set()
    for number in range(1, whole[1], 5):
        with disk_full_at(number), pytest.raises(ResourceError) as caught:
            train(tmp_path / str(number), **OPTIONS)
        said.add(str(caught.value))
    assert any("best.safetensors, which needs" in line for line in said)
