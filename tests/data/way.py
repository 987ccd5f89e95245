"""The way of a folder of images to a loss, as a list of functions: ``python tests/data/way.py`` prints it.

The way is what happens between :func:`pixelcnn.data.load` and the loss of the first batch, see :func:`walk`.
It is told as its reader meets it:

- the *functions* of this package in the order in which each is called for the first time, methods and
  properties included, but no comprehensions and lambdas; imports happened before, caches are warm;
- a *stop* is a run of neighbours in this list that lie in one module;
- a *return* is a stop at a module that had a stop before: a file that has to be opened again.

So there are as many returns as stops without modules. A loop over files counts once, and a function that was
met before costs nothing.
"""

import itertools
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

import pixelcnn as px
from pictures import save_pictures
from pixelcnn import data
from pixelcnn.training.batches import Batches
from pixelcnn.training.likelihood import Loss

PACKAGE = Path(px.__file__).parent


class Stop(NamedTuple):
    """Functions of one module that follow each other."""

    module: str
    functions: list[str]


def traced(work: Callable[[], Any]) -> list[Stop]:
    """The stops of some work."""
    known: dict[tuple[str, str], None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(PACKAGE)):
            module = Path(code.co_filename).relative_to(PACKAGE).with_suffix("").as_posix()
            name = code.co_qualname.replace(".<locals>", "")
            if not name.endswith(">"):
                known.setdefault((module.replace("/", "."), name))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    groups = itertools.groupby(known, key=lambda each: each[0])
    return [Stop(module, [name for _, name in names]) for module, names in groups]


def walk(root: Path) -> list[Stop]:
    """The way of a folder to the loss of a training's first batch."""
    model = px.create_model("gated-pixelcnn", data.load(root), width=4, depth=1)

    def work() -> None:
        train, _, _ = data.load(root)
        with Batches(train, batch_size=2, seed=0) as batches:
            batch = batches[0]
        Loss(model, "32", channels_last=False)(batch.levels, batch.condition, batch.weight)

    work()
    return traced(work)


def returns(stops: list[Stop]) -> int:
    """How many of the stops are at a module that had one before."""
    return len(stops) - len({stop.module for stop in stops})


def told(stops: list[Stop]) -> Iterator[str]:
    """The stops as lines; what is returned to is marked."""
    seen: set[str] = set()
    for module, functions in stops:
        line = f"{'<' if module in seen else ' '} {module}: {', '.join(functions)}"
        yield textwrap.fill(line, 110, subsequent_indent="    ")
        seen.add(module)
    yield f"{len(stops)} stops in {len(seen)} modules, {returns(stops)} returns"


def fill(root: Path) -> Path:
    """A folder of 20 pictures of 5x5 pixels in two classes."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 5, 5), dtype=np.uint8)
    return save_pictures(root, pixels, classes="ab")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        found = walk(fill(Path(folder)))
    sys.stdout.write("\n".join(told(found)) + "\n")
