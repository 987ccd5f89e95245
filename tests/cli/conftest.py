"""A tiny model on disk, and a way to run commands in this process."""

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from pixelcnn import checkpoint, networks, outputs
from pixelcnn.cli import app
from pixelcnn.model import PixelModel

RECIPE = """# A small network for tests.
[data]
name = "images.npy"

[network]
name = "pixelcnn"
width = 8
depth = 1

[output]
name = "categorical"

[training]
epochs = 2
batch_size = 16
sample_count = 0
"""


def pages(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command, those of groups among them."""
    yield words
    for name, child in getattr(command, "commands", {}).items():
        yield from pages(child, (*words, name))


PAGES = list(pages(typer.main.get_command(app)))
"""Every page of help."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """The one line that says what went wrong."""
        (line,) = [x for x in self.stderr.splitlines() if x.startswith("pixelcnn: error: ")]
        return line.removeprefix("pixelcnn: error: ")

    @property
    def hint(self) -> str:
        """The one line that says what to do, which comes last."""
        error, hint = self.stderr.splitlines()[-2:]
        assert error.startswith("pixelcnn: error: "), self.stderr
        assert hint.startswith("hint: "), self.stderr
        return hint.removeprefix("hint: ")

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        assert len(self.stdout.splitlines()) == 1, self.stdout
        return json.loads(self.stdout)

    @property
    def rows(self) -> list[dict[str, str]]:
        """The table on stdout."""
        return list(csv.DictReader(io.StringIO(self.stdout)))


def make_tiny(
    shape: tuple[int, int, int] = (1, 8, 8), levels: int = 17, **network: Any
) -> PixelModel:
    """A small model with random weights that says it was trained on the digits."""
    output = outputs.Categorical(levels=levels)
    arguments = {"width": 6 * shape[0], "depth": 1, **network}
    out = output.parameters_per_pixel(shape[0])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = networks.PixelCNN(channels=shape[0], out=out, **arguments)
    model = PixelModel(made, output, shape)
    model.record = {
        "recipe": "digits",
        "data": {"name": "digits"},
        "steps": 10,
        "validation_quantiles": list(np.linspace(100.0, 300.0, 101)),
    }
    return model.eval()


@pytest.fixture(scope="session")
def tiny() -> Callable[..., PixelModel]:
    """Makes models, see :func:`make_tiny`."""
    return make_tiny


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    checkpoint.save(make_tiny(), path)
    return path


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class-conditional model file with three classes."""
    made = make_tiny(condition="label", condition_size=3)
    made.record["classes"] = ["cat", "dog", "owl"]
    path = tmp_path_factory.mktemp("model") / "labelled.safetensors"
    checkpoint.save(made, path)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here: Path) -> Callable[..., Outcome]:
    """Runs ``pixelcnn`` with some words in an empty working folder, and checks the exit code.

    With ``code=None`` any failure will do.
    """

    def go(*words: object, code: int | None = 0) -> Outcome:
        result = CliRunner().invoke(app, [str(word) for word in words])
        outcome = Outcome(result.exit_code, result.stdout, result.stderr)
        assert outcome.code == code if code is not None else outcome.code, outcome
        assert "Traceback" not in outcome.stderr
        return outcome

    return go


@pytest.fixture
def picture(here: Path) -> Callable[..., Path]:
    """Writes grey PNG files of one value."""

    def write(name: str = "grey.png", side: int = 8, value: int = 128) -> Path:
        Image.new("L", (side, side), value).save(here / name)
        return here / name

    return write


@pytest.fixture
def recipe(here: Path) -> str:
    """A recipe in the working folder, and sixty images of 4 levels that it trains on."""
    (here / "small.toml").write_text(RECIPE)
    np.save(here / "images.npy", np.random.default_rng(0).integers(0, 4, (60, 5, 7), np.uint8))
    return "small.toml"
