"""Every knob of a training, in one place."""

import dataclasses
import math
import re
from typing import Annotated, Any, Literal

from pixelcnn import devices
from pixelcnn.annotations import Range, shown
from pixelcnn.config import check_fields, check_keys
from pixelcnn.data.augmentation import check_names
from pixelcnn.errors import ConfigError

Optimizer = Literal["adam", "adamw", "muon", "nadam", "rmsprop"]
Schedule = Literal["constant", "exponential", "cosine", "linear", "one-cycle"]

MAX_COUNT = 1_000_000
Count = Annotated[int, Range(0, MAX_COUNT)]
Positive = Annotated[int, Range(1, MAX_COUNT)]
Steps = Annotated[int, Range(0, 1_000_000_000)]
Share = Annotated[float, Range(0, 1)]
Decay = Annotated[float, Range(0, 1, below=True)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How to train; every field has a default and is a key of a recipe's ``[training]`` table.

    Raises:
        ConfigError: a value that cannot be used; names the field, the value and the remedy.

    Example:
        >>> TrainingOptions(epochs=3, max_time="1h30m").seconds
        5400.0
    """

    epochs: Positive = 20
    """Passes over the training set, at most."""
    max_time: str | None = None
    """Longest training in all, resumed runs included, as ``45s``, ``10m`` or ``1h30m``; settles the number of
    steps from the first ones, and anew where the machine turns out slower or faster."""
    batch_size: Positive = 128
    """Images a step, over all processes; the last step of an epoch takes what is left."""
    micro_batch_size: Count = 0
    """Images that a process computes at once: more are taken in parts whose gradients add up, the same step
    in less memory. 0 takes all."""
    optimizer: Optimizer = "adam"
    """``adam``, ``adamw``, ``muon`` (for matrices, with ``adamw`` for the rest; see
    :class:`pixelcnn.training.muon.Muon`), ``nadam`` or ``rmsprop``."""
    learning_rate: Annotated[float, Range(0, 1_000_000)] = 1e-3
    """Peak learning rate."""
    matrix_learning_rate: Annotated[float, Range(0, 1_000_000)] = 2e-2
    """Peak learning rate of the matrices that ``muon`` steps; it follows the same schedule."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay of the running gradient and squared gradient (the second one only for ``rmsprop``)."""
    eps: Share = 1e-8
    """Added to the root of the squared gradient."""
    weight_decay: Annotated[float, Range(0, 100)] = 0.0
    """Decay of kernels, never of biases and other vectors; decoupled for all but ``adam`` and ``rmsprop``."""
    momentum: Share = 0.0
    """Momentum of ``rmsprop``."""
    schedule: Schedule = "constant"
    """``constant``, ``exponential``, ``cosine``, ``linear`` or ``one-cycle``."""
    warmup_steps: Steps = 0
    """Steps of linear rise from zero; with 0, ``one-cycle`` rises over the first fifth of the run and
    ``linear`` over the first tenth."""
    learning_rate_decay: Share = 0.999995
    """Factor a step of the ``exponential`` schedule."""
    final_learning_rate: Share = 0.01
    """Where ``cosine``, ``linear`` and ``one-cycle`` end, as a fraction of the peak."""
    schedule_by: Literal["steps", "time"] = "steps"
    """What the schedule is a function of: ``steps``, or ``time``, the share of ``max_time`` that is over."""
    gradient_clip: Annotated[float, Range(0, 1_000_000)] = 0.0
    """Largest norm of the gradient; 0 leaves it alone."""
    weight_average: Annotated[float, Range(0, 0.999999)] = 0.0
    """Decay a step of the moving average of the weights that is evaluated and exported; 0 turns it off."""
    patience: Count = 0
    """Validations without a better one before training stops early; 0 never does."""
    validate_every: Positive = 1
    """Epochs between validations; the end of the training always validates."""
    validation_images: Steps = 2_000
    """Validation images in use, evenly spread over the set; 0 takes all of them."""
    calibration_images: Count = 32
    """Validation images on which the ranges of values that compression needs are measured at the end; 0
    leaves that to :func:`pixelcnn.calibrate`."""
    augment: tuple[str, ...] = ()
    """How training images are transformed, another way each epoch: any of ``flip``, ``flip-vertical``,
    ``shift N`` (by up to N pixels) and ``rotate``. Validation images never are."""
    augment_tag: bool = False
    """Tell the network how each image was transformed; elsewhere it is told that none is."""
    seed: Annotated[int, Range(0, 2**63 - 1)] = 0
    """Fixes initial weights, batch order, augmentation, dynamic binarisation and dropout."""
    precision: Literal["auto", "32", "bf16", "64"] = "auto"
    """``32``, ``64``, or ``bf16`` (autocast; weights stay 32 bit); ``auto`` takes bf16 where it is fast."""
    channels_last: bool = True
    """Keep the features of a position together in memory: faster for convolutions on CPU and GPU."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``."""
    devices: Annotated[int, Range(1, 1_024)] = 1
    """Processes a machine, each on a device of its own, or on a share of the processor."""
    nodes: Annotated[int, Range(1, 100_000)] = 1
    """Machines."""
    sample_every: Count = 0
    """Epochs between sample grids; 0 draws one at the end. A grid that would take more than a tenth of
    the training so far is left out."""
    sample_count: Annotated[int, Range(0, 1_024)] = 16
    """Images of a sample grid; 0 draws none."""
    log_every: Annotated[int, Range(1, 1_000_000_000)] = 50
    """Steps between rows of ``metrics.csv``."""
    checkpoint_every: str = "5m"
    """Time between checkpoints inside an epoch; every validation writes one too."""
    on_nan: Literal["stop", "skip", "rewind"] = "stop"
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
        for name in ("max_time", "checkpoint_every"):
            value = getattr(self, name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                object.__setattr__(self, name, shown(value))  # seconds
        check_fields(self, "training.")
        if not devices.NAMES.fullmatch(self.device):
            raise invalid("device", self.device, "use auto, cpu, cuda, cuda:N or mps")
        if self.max_time is not None and seconds_in("max_time", self.max_time) <= 0:
            raise invalid("max_time", self.max_time, "use a time above zero, as 45s, 10m or 1h30m")
        seconds_in("checkpoint_every", self.checkpoint_every)
        try:
            check_names(self.augment)
        except ConfigError as error:
            raise ConfigError(f"training.{error}", hint=error.hint) from None
        if self.augment_tag and not self.augment:
            raise invalid("augment_tag", True, "set training.augment, or leave it out")
        if self.schedule_by == "time" and self.max_time is None:
            raise invalid("schedule_by", "time", "set max_time, whose share it is a function of")

    @property
    def seconds(self) -> float:
        """:attr:`max_time` in seconds; infinite where there is none."""
        return math.inf if self.max_time is None else seconds_in("max_time", self.max_time)

    @property
    def limit(self) -> str:
        """:attr:`max_time` with its unit, to be shown; empty where there is none.

        Example:
            >>> TrainingOptions(max_time="90").limit, TrainingOptions(max_time="2m").limit
            ('90s', '2m')
        """
        text = (self.max_time or "").strip()
        return text + "s" * text[-1:].isdigit()

    @property
    def length(self) -> tuple[int, float]:
        """Epochs and seconds of the whole training, however often it is resumed."""
        return self.epochs, self.seconds

    @property
    def tags(self) -> tuple[str, ...]:
        """Transformations of which the network is told."""
        return self.augment if self.augment_tag else ()

    @property
    def checkpoint_seconds(self) -> float:
        """:attr:`checkpoint_every` in seconds."""
        return seconds_in("checkpoint_every", self.checkpoint_every)

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
        check_keys("training option", table, known)
        return cls(**table)


def seconds_in(name: str, text: str) -> float:
    """Seconds in a text such as ``1h30m``, ``10m``, ``45s`` or ``90`` (seconds).

    Raises:
        ConfigError: not a duration; ``name`` says whose.

    Example:
        >>> seconds_in("max_time", "1m30s")
        90.0
    """
    number = r"\d{1,9}(?:\.\d+)?"
    pattern = rf"(?:({number})h)?(?:({number})m)?(?:({number})s?)?"
    parts = re.fullmatch(pattern, text.strip(), re.ASCII)
    if parts is None or not any(parts.groups()):
        raise invalid(name, text, "write a time as 45s, 10m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in parts.groups())
    return 3600 * hours + 60 * minutes + seconds


def invalid(name: str, value: object, remedy: str) -> ConfigError:
    """The error for a training option that cannot be used."""
    return ConfigError(f"training.{name} cannot be {shown(value)}", hint=remedy)
