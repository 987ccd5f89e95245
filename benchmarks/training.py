"""A training step and scoring, in this library's layers and in plain convolutions."""

from collections.abc import Sequence

import torch

from benchmarks.naive import naive
from benchmarks.tables import short, table
from benchmarks.timing import Action, Timing, alternate, timed
from pixelcnn import PixelModel


def step(model: PixelModel, images: torch.Tensor, *, half: bool) -> Action:
    """One step of Adam on a batch; the network perhaps in bfloat16."""
    optimizer = torch.optim.Adam(model.parameters())

    def run() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            parameters = model(images)
        (-model.output.log_prob(parameters.float(), images).mean()).backward()
        optimizer.step()

    return timed(run)


def score(model: PixelModel, images: torch.Tensor) -> Action:
    """Log-probabilities of a batch."""

    def run() -> object:
        with torch.inference_mode():
            return model.log_prob(images)

    return timed(run)


def measure(model: PixelModel, n: int, rounds: int) -> dict[str, Timing]:
    """Seconds for a batch of each contender."""
    images = torch.randint(model.levels, (n, *model.shape))
    plain = naive(model)
    actions = {
        "train, plain convolutions": step(plain.train(), images, half=False),
        "train": step(model.train(), images, half=False),
        "train, bf16": step(model.train(), images, half=True),
        "score, plain convolutions": score(plain, images),
        "score": score(model, images),
    }
    return alternate(actions, rounds)


def report(name: str, n: int, timings: dict[str, Timing]) -> str:
    """Images a second, and against plain convolutions."""
    rows: list[Sequence[str]] = []
    for what, timing in timings.items():
        plain = timings[f"{what.partition(',')[0]}, plain convolutions"].median
        rows.append((what, short(n / timing.median), f"{short(plain / timing.median)}×"))
    return f"{name}, batch {n}\n\n{table(('what', 'images/s', 'against plain'), rows)}"
