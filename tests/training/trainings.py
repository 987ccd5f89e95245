"""Small trainings for the tests."""

import contextlib
import dataclasses
import math
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pixelcnn import data, networks, outputs
from pixelcnn.data import ImageSet
from pixelcnn.errors import PixelCNNError
from pixelcnn.model import PixelModel
from pixelcnn.training import History, Interrupted, fit, loop
from pixelcnn.training.batches import Batch, Batches
from pixelcnn.training.checkpoints import existing, read
from pixelcnn.training.trainer import Trainer

QUICK: dict[str, Any] = {
    "batch_size": 16,
    "precision": "32",
    "learning_rate": 3e-3,
    "weight_average": 0.9,
    "sample_count": 0,
    "calibration_images": 0,
    "log_every": 2,
    "seed": 1,
}
"""Options of a training that takes a second."""


def digits(train: int = 60, val: int = 12) -> tuple[ImageSet, ImageSet]:
    """A few of the embedded digits, to train on and to validate."""
    splits = data.load("digits")
    return splits.train.limit(train), splits.val.limit(val)


def model(dropout: float = 0.2, width: int = 6, **arguments: Any) -> PixelModel:
    """A tiny model of the digits, always the same."""
    torch.manual_seed(7)
    network = networks.GatedPixelCNN(
        1, 17, width=width, depth=2, first_kernel=3, dropout=dropout, **arguments
    )
    return PixelModel(network, outputs.Categorical(levels=17), (1, 8, 8))


def train(
    run: Path | None,
    *,
    resume: bool = False,
    images: int = 60,
    val: int = 12,
    dropout: float = 0.2,
    width: int = 6,
    **options: Any,
) -> tuple[PixelModel, History]:
    """Trains the tiny model on a few digits, four steps an epoch."""
    net, sets = model(dropout, width), digits(images, val)
    return net, fit(net, *sets, run, resume=resume, verbose=False, **(QUICK | options))


def exit_code(
    run: Path, *, room: int = 0, bad: tuple[int, int] | None = None, **options: Any
) -> int:
    """Trains or goes on, and gives the exit code that the command line would give.

    Args:
        run: the run folder; what an error says is written beside it.
        room: bytes of memory beyond those in use; 0 for no limit.
        bad: a step, and the rank of the process whose loss is then NaN.
        **options: of :func:`train`.
    """
    if bad is not None:
        explode(*bad)
    if room:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + room, used + room))
    try:
        train(run, resume=True, **options)
    except (PixelCNNError, Interrupted) as error:
        rank = os.environ.get("RANK", "0")
        run.with_suffix(f".said{rank}").write_text(f"{error}\n{error.hint}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def explode(step: int, rank: int = 0, times: int = -1) -> None:
    """Makes the loss of a step NaN in one process, for as long as this process lives.

    Args:
        step: from 0.
        rank: of the process.
        times: how often; always if negative.
    """
    right, left = Batches.__getitem__, [times]

    def wrong(self: Batches, number: int) -> Batch:
        batch = right(self, number)
        if (number, self.rank) != (step, rank) or not left[0]:
            return batch
        left[0] -= 1
        return dataclasses.replace(batch, weight=math.nan)

    Batches.__getitem__ = wrong  # type: ignore[method-assign]


class Killed(BaseException):
    """Stands for a process that is gone from one instruction to the next."""


@contextlib.contextmanager
def killed_at(step: int, *, saved: bool = False) -> Iterator[None]:
    """The training in this context is gone after a step: before what is due then is done, or once it is."""
    going = loop.do_what_is_due

    def die(trainer: Trainer) -> None:
        last = trainer.state.step == step
        if saved or not last:
            going(trainer)
        if last:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "do_what_is_due", die)
        with pytest.raises(Killed):
            yield


@contextlib.contextmanager
def signalled(step: int, *signals: int) -> Iterator[None]:
    """This process gets signals after a step of the training in this context, before what is due then."""
    going = loop.do_what_is_due

    def ring(trainer: Trainer) -> None:
        if trainer.state.step == step:
            for signum in signals:
                os.kill(os.getpid(), signum)
        going(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "do_what_is_due", ring)
        yield


def assert_same_end(run: Path, whole: Path) -> None:
    """Compares everything that decides how a training went on, and what it left, to the bit."""
    assert same(state(run), state(whole))
    for name in ("metrics.csv", "best.safetensors", "last.safetensors"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name


def assert_a_kill_changes_nothing(folder: Path, **options: Any) -> None:
    """A training that is killed in the middle ends, once it is resumed, where another one ends."""
    whole, run = folder / "whole", folder / "run"
    train(whole, checkpoint_every="0s", **options)
    with killed_at(6):
        train(run, checkpoint_every="0s", **options)
    train(run, resume=True, checkpoint_every="0s", **options)
    assert_same_end(run, whole)


def state(run: Path) -> dict[str, Any]:
    """Everything in the last checkpoint that decides how a training goes on."""
    found = read(existing(run / "checkpoints")[0])
    return {key: value for key, value in found.items() if key != "elapsed"}


def same(one: Any, other: Any) -> bool:
    """Whether two nested states are equal to the bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
