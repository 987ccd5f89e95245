"""Where users hook into a training: callbacks, what they are told, and trackers of experiments."""

import contextlib
import dataclasses
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pixelcnn.annotations import shown
from pixelcnn.errors import ConfigError
from pixelcnn.folders import read_inside, write_inside
from pixelcnn.model import PixelModel
from pixelcnn.training.likelihood import Validation

EVENTS = ("on_step", "on_validation", "on_epoch")
"""The methods of callbacks, see :class:`Callback`."""


@dataclasses.dataclass
class TrainingState:
    """Where a training is: what callbacks are told.

    Attributes:
        model: with the weights of the step; in :meth:`Callback.on_validation` with the averaged ones.
        step: steps taken.
        steps: that it is going to take in all.
        epoch: the epoch that the step belongs to, from 1.
        epochs: in all, counting an unfinished last one.
        batch_size: images a step.
        learning_rate: of the last step.
        mean_loss: of the last steps, as of the last time that the device was asked; NaN at first.
        validation: the last one, None before the first.
        best: the best validation in nats per image, None before the first.
        seconds_per_step: lately; 0 at first.
        run: the run folder, if there is one.
        is_main: whether this process writes the files; callbacks run in every process.
        timed: whether ``max_time`` decides, so that steps and epochs are estimates.
    """

    model: PixelModel
    steps: int
    epochs: int
    batch_size: int
    run: Path | None
    is_main: bool = True
    timed: bool = False
    step: int = 0
    epoch: int = 1
    learning_rate: float = 0.0
    mean_loss: float = float("nan")
    validation: Validation | None = None
    best: float | None = None
    seconds_per_step: float = 0.0
    last_loss: Tensor | None = None
    reason: str = ""

    @property
    def loss(self) -> float:
        """Loss of the last step on this process, nats per sub-pixel; asking waits for the device."""
        return float("nan") if self.last_loss is None else float(self.last_loss)

    def stop(self, reason: str = "callback") -> None:
        """Ends the training after this step, validated and saved as at its planned end."""
        self.reason = self.reason or reason


class Callback:
    """What a user wants done in a training; an object with some of these methods will do, too.

    Example:
        >>> class StopAt(Callback):
        ...     def on_validation(self, state):
        ...         if state.validation.bits_per_dim < 2:
        ...             state.stop("good enough")
    """

    def on_step(self, state: TrainingState) -> None:
        """After every step."""

    def on_validation(self, state: TrainingState) -> None:
        """After a validation, with the weights that were validated in the model."""

    def on_epoch(self, state: TrainingState) -> None:
        """After an epoch, its validation included."""


def call(callbacks: Sequence[Any], event: str, state: TrainingState) -> None:
    """Tells every callback that has a method for it what has happened."""
    for callback in callbacks:
        getattr(callback, event, lambda _: None)(state)


class Trackers:
    """The trackers of a run. Errors of theirs end the training: they say what is wrong.

    Use as a context, which finishes those that were started here; objects are their owner's to end.

    Args:
        wanted: names that accelerate knows, ``auto``, or objects with ``log(values, step)``, and as far as
            they have it ``log_images(values, step)``; checked already.
        run: the run folder.
        settings: what is known of the training before it starts, for trackers by name.

    Raises:
        ConfigError: a tracker by name does not start.
    """

    def __init__(
        self, wanted: Sequence[Any], run: Path | None, settings: Mapping[str, Any]
    ) -> None:
        self.trackers = [tracker for tracker in wanted if not isinstance(tracker, str)]
        with contextlib.ExitStack() as started:
            for name in names(wanted, run):
                self.trackers.append(by_name(name, run, settings))
                started.callback(self.trackers[-1].finish)
            self._started = started.pop_all()

    def log(self, values: dict[str, float], step: int) -> None:
        """Numbers of a step."""
        for tracker in self.trackers:
            tracker.log(values, step=step)

    def log_images(self, name: str, images: np.ndarray, step: int) -> None:
        """Pictures ``(n, height, width, 3)`` of a step, for trackers that take some."""
        for tracker in self.trackers:
            more = {"dataformats": "NHWC"} if getattr(tracker, "name", "") == "tensorboard" else {}
            show: Callable[..., Any] = getattr(tracker, "log_images", lambda *_, **__: None)
            show({name: images}, step=step, **more)

    def __enter__(self) -> "Trackers":
        return self

    def __exit__(self, *_: object) -> None:
        self._started.close()


def check_hooks(callbacks: Sequence[Any], trackers: Sequence[Any], run: str | Path | None) -> None:
    """Refuses callbacks that would never be called, and trackers that cannot be used.

    Args:
        callbacks: the user's.
        trackers: names and objects, as for :class:`Trackers`.
        run: the run folder.

    Raises:
        ConfigError: an object without any of the methods of :class:`Callback`, or a class in place of an
            object; or see :func:`check_trackers`.

    Example:
        >>> check_hooks([Callback()], [], None)
        >>> try:
        ...     check_hooks([Callback], [], None)
        ... except ConfigError as error:
        ...     print(error)
        <class 'pixelcnn.training.callbacks.Callback'> is no callback
    """
    for callback in callbacks:
        if isinstance(callback, type) or not any(hasattr(callback, event) for event in EVENTS):
            raise ConfigError(
                f"{shown(callback)} is no callback",
                hint=f"pass an object with one of {', '.join(EVENTS)}, each of which gets a state",
            )
    check_trackers(trackers, Path(run) if run else None)


def check_trackers(wanted: Sequence[Any], run: Path | None) -> None:
    """Refuses trackers that cannot be used, before anything is written.

    Args:
        wanted: names and objects, as for :class:`Trackers`.
        run: the run folder.

    Raises:
        ConfigError: a name that means nothing or is not installed, one that needs a run folder, or an object
            without ``log``.
    """
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    for tracker in wanted:
        if not isinstance(tracker, str) and not hasattr(tracker, "log"):
            raise ConfigError(
                f"{tracker!r} is no tracker",
                hint="pass a name, or an object with log(values, step)",
            )
    for name in names(wanted, run):
        if name not in installed():
            raise ConfigError(
                f"no tracker called {name!r} is installed",
                hint=f"installed: {', '.join(installed()) or 'none'}; "
                f"known: {', '.join(LOGGER_TYPE_TO_CLASS)}",
            )
        if run is None and LOGGER_TYPE_TO_CLASS[name].requires_logging_directory:
            raise ConfigError(f"tracker {name} needs a run folder", hint="pass run=...")


def names(wanted: Sequence[Any], run: Path | None) -> list[str]:
    """The names among them; ``auto`` is TensorBoard, where that is installed and there is a run folder."""
    chosen = {name: None for name in wanted if isinstance(name, str)}
    if "auto" in chosen:
        del chosen["auto"]
        chosen |= {"tensorboard": None} if run and "tensorboard" in installed() else {}
    return list(chosen)


def installed() -> list[str]:
    """The trackers of accelerate whose packages are there."""
    from accelerate.tracking import get_available_trackers

    return sorted(str(kind) for kind in get_available_trackers())


def by_name(name: str, run: Path | None, settings: Mapping[str, Any]) -> Any:
    """A tracker of accelerate's, started.

    Raises:
        ConfigError: it does not start, as for want of a login.
    """
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    kind = LOGGER_TYPE_TO_CLASS[name]
    if kind.requires_logging_directory:
        tracker = kind(name, str(run))
    else:
        tracker = kind("pixelcnn", **(wandb_place(run) if name == "wandb" and run else {}))
    try:
        if hasattr(tracker, "start"):
            tracker.start()
        if name != "tensorboard":  # which would make a folder named after the time, every time
            tracker.store_init_configuration(dict(settings))
    except Exception as error:
        raise ConfigError(
            f"tracker {name} does not start: {error}", hint="train without it, or set it up first"
        ) from error
    return tracker


def wandb_place(run: Path) -> dict[str, Any]:
    """Where wandb keeps its files, and an identity, so that a resumed training goes on in the same curves."""
    note = run / "wandb" / "id"
    if not note.exists():
        note.parent.mkdir(exist_ok=True)
        write_inside(note, secrets.token_hex(8).encode())
    identity = read_inside(note).decode(errors="replace")
    return {"dir": str(run), "id": identity, "resume": "allow"}
