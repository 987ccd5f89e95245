"""Every knob of a training, in one place."""

import dataclasses
import math
import re
from typing import Any

from pixelcnn.config import check_choice
from pixelcnn.errors import ConfigError
from pixelcnn.registry import closest

OPTIMIZERS = ("adam", "adamw", "nadam", "rmsprop")
SCHEDULES = ("constant", "exponential", "cosine", "one-cycle")
PRECISIONS = ("auto", "32", "bf16", "64")
ON_NAN = ("stop", "skip", "rewind")
SCHEDULE_BY = ("steps", "time")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How to train; every field has a default and is a key of a recipe's ``[training]`` table.

    Raises:
        ConfigError: a value that cannot be used; names the field, the value and the remedy.

    Example:
        >>> TrainingOptions(epochs=3, max_time="1h30m").seconds
        5400.0
    """

    epochs: int = 20
    """Passes over the training set, at most."""
    max_time: str | None = None
    """Longest training in all, resumed runs included, as ``45s``, ``10m`` or ``1h30m``; settles the number of
    steps from the first ones, and anew where the machine turns out slower or faster."""
    batch_size: int = 128
    """Images a step, over all processes; the last step of an epoch takes what is left."""
    optimizer: str = "adam"
    """``adam``, ``adamw``, ``nadam`` or ``rmsprop``."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the running gradient and squared gradient (the second one only for ``rmsprop``)."""
    eps: float = 1e-8
    """Added to the root of the squared gradient."""
    weight_decay: float = 0.0
    """Decay of kernels, never of biases and other vectors; decoupled for ``adamw`` and ``nadam``."""
    momentum: float = 0.0
    """Momentum of ``rmsprop``."""
    schedule: str = "constant"
    """``constant``, ``exponential``, ``cosine`` or ``one-cycle``."""
    warmup_steps: int = 0
    """Steps of linear rise from zero; ``one-cycle`` with 0 rises over the first fifth of the run."""
    learning_rate_decay: float = 0.999995
    """Factor a step of the ``exponential`` schedule."""
    final_learning_rate: float = 0.01
    """Where ``cosine`` and ``one-cycle`` end, as a fraction of the peak."""
    schedule_by: str = "steps"
    """What the schedule is a function of: ``steps``, or ``time``, the share of ``max_time`` that is over."""
    gradient_clip: float = 0.0
    """Largest norm of the gradient; 0 leaves it alone."""
    weight_average: float = 0.0
    """Decay a step of the moving average of the weights that is evaluated and exported; 0 turns it off."""
    patience: int = 0
    """Validations without a better one before training stops early; 0 never does."""
    validate_every: int = 1
    """Epochs between validations; the end of the training always validates."""
    validation_images: int = 2_000
    """Validation images in use, evenly spread over the set; 0 takes all of them."""
    seed: int = 0
    """Fixes initial weights, batch order, dynamic binarisation and dropout."""
    precision: str = "auto"
    """``32``, ``64``, or ``bf16`` (autocast; weights stay 32 bit); ``auto`` takes bf16 where it is fast."""
    channels_last: bool = True
    """Keep the features of a position together in memory: faster for convolutions on CPU and GPU."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``."""
    devices: int = 1
    """Processes a machine, each on a device of its own, or on a share of the processor."""
    nodes: int = 1
    """Machines."""
    sample_every: int = 0
    """Epochs between sample grids; 0 draws one at the end. A grid that would take more than a tenth of
    the training so far is left out."""
    sample_count: int = 16
    """Images of a sample grid; 0 draws none."""
    log_every: int = 50
    """Steps between rows of ``metrics.csv``."""
    checkpoint_every: str = "5m"
    """Time between checkpoints inside an epoch; every validation writes one too."""
    on_nan: str = "stop"
    """What to do about a loss that is not finite: ``stop``, ``skip`` up to three batches, or ``rewind`` to
    the last checkpoint at half the learning rate, up to five times."""
    compile: bool = False
    """Compile the loss with ``torch.compile``: pays on some GPUs, not on CPUs."""
    trackers: tuple[str, ...] = ("auto",)
    """Where numbers and sample grids go besides the run folder: ``tensorboard``, ``wandb``, ``mlflow``,
    ``trackio`` and others that accelerate knows; ``auto`` is TensorBoard where that is installed."""
    init: str | None = None
    """A model to start from, in place of new weights: a file, a run folder, or the name of a model that
    comes with the package."""

    def __post_init__(self) -> None:
        _coerce(self)
        for name, (low, high) in INTEGERS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                remedy = f"an integer from {low} to {high}" if low < high else f"{low}"
                raise invalid(name, value, f"use {remedy}")
        for name, (above, below) in FLOATS.items():
            value = getattr(self, name)
            if not above <= value <= below or math.isnan(value):
                raise invalid(name, value, f"use a number from {above:g} to {below:g}")
        for name, choices in CHOICES.items():
            check_choice(f"training.{name}", getattr(self, name), choices)
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise invalid("device", self.device, "use auto, cpu, cuda, cuda:N or mps")
        if self.max_time is not None and duration("max_time", self.max_time) <= 0:
            raise invalid("max_time", self.max_time, "use a time above zero, as 45s, 10m or 1h30m")
        duration("checkpoint_every", self.checkpoint_every)
        if self.schedule_by == "time" and self.max_time is None:
            raise invalid("schedule_by", "time", "set max_time, whose share it is a function of")

    @property
    def seconds(self) -> float:
        """:attr:`max_time` in seconds; infinite where there is none."""
        return math.inf if self.max_time is None else duration("max_time", self.max_time)

    @property
    def checkpoint_seconds(self) -> float:
        """:attr:`checkpoint_every` in seconds."""
        return duration("checkpoint_every", self.checkpoint_every)

    def as_table(self) -> dict[str, Any]:
        """The fields as a recipe's ``[training]`` table; an absent ``max_time`` is left out."""
        values = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> "TrainingOptions":
        """The options of a recipe's ``[training]`` table.

        Raises:
            ConfigError: an unknown key, or a value that cannot be used.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for key in table:
            if key not in known:
                raise ConfigError(
                    f"no training option called {key!r}.{closest(key, known)}",
                    hint=f"known: {', '.join(known)}",
                )
        return cls(**table)


INTEGERS = {
    "epochs": (1, 1_000_000),
    "batch_size": (1, 1_000_000),
    "warmup_steps": (0, 1_000_000_000),
    "patience": (0, 1_000_000),
    "validate_every": (1, 1_000_000),
    "validation_images": (0, 1_000_000_000),
    "seed": (0, 2**63 - 1),
    "devices": (1, 1_024),
    "nodes": (1, 100_000),
    "sample_every": (0, 1_000_000),
    "sample_count": (0, 1_024),
    "log_every": (1, 1_000_000_000),
}
"""Whole numbers, and the range of each."""

FLOATS = {
    "learning_rate": (0.0, 1e6),
    "eps": (0.0, 1.0),
    "weight_decay": (0.0, 100.0),
    "momentum": (0.0, 1.0),
    "learning_rate_decay": (0.0, 1.0),
    "final_learning_rate": (0.0, 1.0),
    "gradient_clip": (0.0, 1e6),
    "weight_average": (0.0, 0.999999),
}
"""Numbers, and the range of each."""

CHOICES: dict[str, tuple[object, ...]] = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "precision": PRECISIONS,
    "on_nan": ON_NAN,
    "schedule_by": SCHEDULE_BY,
    "channels_last": (True, False),
    "compile": (True, False),
}
"""Words, and the ones that mean something."""

DURATIONS = ("max_time", "checkpoint_every")
"""Times, as texts or as seconds."""

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def duration(name: str, text: str) -> float:
    """Seconds in a text such as ``1h30m``, ``10m``, ``45s`` or ``90`` (seconds).

    Raises:
        ConfigError: not a duration; ``name`` says whose.

    Example:
        >>> duration("max_time", "1m30s")
        90.0
    """
    number = r"\d+(?:\.\d+)?"
    parts = re.fullmatch(rf"(?:({number})h)?(?:({number})m)?(?:({number})s?)?", text.strip())
    if parts is None or not any(parts.groups()):
        raise invalid(name, text, "write a time as 45s, 10m or 1h30m")
    return sum(
        float(value) * unit
        for value, unit in zip(parts.groups(), UNITS.values(), strict=True)
        if value
    )


def invalid(name: str, value: object, remedy: str) -> ConfigError:
    """The error for a training option that cannot be used."""
    return ConfigError(f"training.{name} cannot be {value!r}", hint=remedy)


def _coerce(options: TrainingOptions) -> None:
    """Gives every field its type, where the value allows it: TOML's 1 is a float, its lists are tuples."""
    for names, kinds, meant in (
        (INTEGERS, int, "a whole number"),
        (FLOATS, int | float, "a number"),
        (DURATIONS, str | int | float, "a time as 45s, 10m or 1h30m"),
        (("device", "init", "precision"), str | int, "a text"),
    ):
        for name in names:
            value = getattr(options, name)
            if value is None and name in ("max_time", "init"):
                continue
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise invalid(name, value, f"use {meant}")
            convert = int if names is INTEGERS else float if names is FLOATS else str
            object.__setattr__(options, name, convert(value))
    for name, kinds, meant in (
        ("betas", int | float, "two numbers in [0, 1), as [0.9, 0.999]"),
        ("trackers", str, "names, as ['tensorboard']"),
    ):
        given = getattr(options, name)
        values = (given,) if name == "trackers" and isinstance(given, str) else given
        if not isinstance(values, tuple | list) or not all(isinstance(v, kinds) for v in values):
            raise invalid(name, given, f"use {meant}")
        object.__setattr__(options, name, tuple(values))
    if len(options.betas) != 2 or not all(0 <= beta < 1 for beta in options.betas):
        raise invalid("betas", options.betas, "use two numbers in [0, 1), as [0.9, 0.999]")
    object.__setattr__(options, "betas", tuple(map(float, options.betas)))
