"""What a speed-run of likelihood is to reach, and on what."""

import dataclasses

from pixelcnn.training.published import Unit


@dataclasses.dataclass(frozen=True)
class Track:
    """What is to be reached, on what.

    Attributes:
        about: in words.
        recipe: what stands on the track as it is; ``--set`` changes it in all but its data.
        settings: its data, and the time of a training, whoever trains.
        ours: what the recipe does otherwise here.
        plain: a recipe whose network plain PyTorch trains beside it.
        unit: of the figure.
        target: the figure to reach; the least time wins.
        limit: seconds; without a target the best figure after them wins.
        cores: that may compute.
        device: that computes.
    """

    about: str
    recipe: str
    plain: str
    unit: Unit
    settings: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    target: float | None = None
    limit: float | None = None
    cores: int = 2
    device: str = "cpu"


MNIST = ("data.name=binarized-mnist",)
WHOLE = ("training.epochs=1000", "training.validate_every=1000")
"""The time ends a training, and one validation comes then."""
EXAMPLE = ("data.name=mnist", "data.threshold=0.33", "data.split=tutorial")
ONCE = ("network.kernel=11", "training.validate_every=1000")
"""Of ``compact-mnist``: the reach that pays, and one validation, at the end."""
MINUTES = (*ONCE, "training.learning_rate=4.5e-3", "training.matrix_learning_rate=1.5e-2")
"""The same, with rates for some minutes: those of the recipe are for hours."""
TRACKS = {
    "mnist-81.30": Track(
        "time to 81.30 nats (PixelCNN's figure) on binarized MNIST's validation file, 2 cores",
        "compact-mnist",
        "gated-mnist",
        "nats",
        (*MNIST, "training.max_time=370s"),
        MINUTES,
        target=81.30,
    ),
    "mnist-15m": Track(
        "best nats on binarized MNIST's validation file after 15 minutes of 2 cores",
        "compact-mnist",
        "gated-mnist",
        "nats",
        (*MNIST, "training.max_time=15m"),
        ONCE,
        limit=900,
    ),
    "mnist-150m": Track(
        "best nats on binarized MNIST's validation file after 150 minutes of 2 cores",
        "compact-mnist",
        "gated-mnist",
        "nats",
        (*MNIST, "training.max_time=150m"),
        (*ONCE, "training.epochs=1000"),
        limit=9_000,
    ),
    "keras": Track(
        "time to 0.0831 nats/dim on the Keras example's split of MNIST at threshold 0.33, 2 cores",
        "compact-mnist",
        "keras-mnist",
        "nats/dim",
        (*EXAMPLE, "training.max_time=45s"),
        MINUTES,
        target=0.0831,
    ),
    "cifar-60m": Track(
        "bits/dim of CIFAR-10's validation images after 60 minutes of 2 cores",
        "compact-cifar10-small",
        "chainer-cifar10",
        "bits/dim",
        ("data.name=cifar-10", "training.max_time=60m"),
        WHOLE,
        limit=3_600,
    ),
    "cifar-gpu-10m": Track(
        "bits/dim of CIFAR-10's validation images after 10 minutes of one GPU",
        "compact-cifar10-large",
        "chainer-cifar10",
        "bits/dim",
        ("data.name=cifar-10", "training.max_time=10m"),
        WHOLE,
        limit=600,
        device="cuda",
    ),
}
