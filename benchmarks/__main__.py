"""Times a training step, scoring and sampling of two networks on this machine.

Absolute figures differ from machine to machine and from day to day: compare lines of one run.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator

import torch

from pixelcnn import PixelModel, engines
from pixelcnn.networks import GatedPixelCNN, PixelCNN
from pixelcnn.outputs import Bernoulli, Categorical
from pixelcnn.walk import walk

REPEATS = 3
POSITIONS = 16  # of an image are drawn; the others cost the same


def digits() -> PixelModel:
    """A small gated network for 8x8 images of 17 levels."""
    output = Categorical(levels=17)
    network = GatedPixelCNN(channels=1, out=output.parameters_per_pixel(1), width=32, depth=6)
    return PixelModel(network, output, shape=(1, 8, 8))


def mnist() -> PixelModel:
    """The network of the Keras tutorial for binary 28x28 images, 532,673 parameters."""
    network = PixelCNN(channels=1, out=1, width=128, depth=5, halve="middle", activate="after")
    return PixelModel(network, Bernoulli(), shape=(1, 28, 28))


MODELS = {"digits": digits, "keras-mnist": mnist}


def seconds(action: Callable[[], object]) -> float:
    """Median duration of an action, after one run to warm up."""
    action()
    durations = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def training_step(model: PixelModel, images: torch.Tensor) -> Callable[[], None]:
    """One step of Adam on a batch."""
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        (-model.log_prob(images).mean()).backward()
        optimizer.step()

    return step


def drawing(model: PixelModel, n: int, engine: str) -> Callable[[], None]:
    """The first positions of n images, all levels 0."""

    def draw() -> None:
        steps = walk(model, n, engine=engine)
        front = next(steps)
        for _ in range(POSITIONS - 1):
            front = steps.send(torch.zeros(n, len(front.positions), dtype=torch.long))

    return draw


def measure(name: str, batch: int) -> Iterator[dict[str, object]]:
    """Times one model: rows of what was done and how many images a second it makes."""
    model = MODELS[name]()
    images = torch.randint(model.levels, (batch, *model.shape))
    duration = seconds(training_step(model.train(), images))
    yield {"model": name, "what": "train", "images_per_second": batch / duration}
    model.eval()
    with torch.inference_mode():
        duration = seconds(lambda: model.log_prob(images))
        yield {"model": name, "what": "score", "images_per_second": batch / duration}
        for engine in (e for e in engines.NAMES if e != "auto"):
            duration = seconds(drawing(model, batch, engine)) / POSITIONS * model.shape.dimensions
            what = f"sample, engine {engine}"
            yield {"model": name, "what": what, "images_per_second": batch / duration}


def main(words: list[str] | None = None) -> None:
    """Prints a table, or JSON lines."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("models", nargs="*", default=list(MODELS), help=", ".join(MODELS))
    parser.add_argument("--batch", type=int, default=32, help="images at once (32)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args(words)
    if unknown := set(arguments.models) - set(MODELS):
        parser.error(f"no model called {unknown.pop()!r}; known: {', '.join(MODELS)}")
    if not arguments.json:
        print(
            f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {arguments.batch}"
        )
    for name in arguments.models:
        for row in measure(name, arguments.batch):
            text = "{model:<12} {what:<22} {images_per_second:12.1f} images/s".format(**row)
            print(json.dumps(row) if arguments.json else text, flush=True)


if __name__ == "__main__":
    main()
