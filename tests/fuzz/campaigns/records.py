"""Model files that are whole, with a training record that says what no training wrote."""

import copy
import json
from pathlib import Path

import numpy as np
from PIL import Image

from forgery import taken_apart
from fuzz import values
from fuzz.campaigns.models import sealed
from fuzz.case import Campaign, Case, Fault
from pixelcnn import checkpoint
from training.trainings import train

READERS = ("info", "evaluate", "sample", "score", "complete", "compress")


def trained(folder: Path) -> bytes:
    """The file of a model of the digits, with everything that a training records."""
    model, _ = train(folder / "run", epochs=1, images=16, val=4, trackers=[])
    model.record["classes"] = [str(digit) for digit in range(10)]
    checkpoint.save(model, folder / "trained.safetensors")
    return (folder / "trained.safetensors").read_bytes()


class Records(Campaign):
    """Whatever the record of a model says, every command that reads it works or refuses."""

    name = "records"
    about = "training records with altered keys and values (info, evaluate, sample, score, ...)"
    full = 1_800
    few = len(READERS)

    def prepare(self, folder: Path) -> None:
        self.header, self.entries, self.body = taken_apart(trained(folder))
        self.images, self.picture = folder / "images.npy", folder / "image.png"
        draw = np.random.default_rng(0)
        np.save(self.images, draw.integers(0, 17, (3, 8, 8), dtype=np.uint8))
        Image.fromarray(draw.integers(0, 255, (8, 8), dtype=np.uint8)).save(self.picture)
        self.elsewhere = folder / "elsewhere.npy"
        np.save(self.elsewhere, draw.integers(0, 17, (20, 8, 8), dtype=np.uint8))

    def run(self, case: Case) -> None:
        header = copy.deepcopy(self.header)
        stranger = case.draw.random() < 0.1
        if stranger:
            header["record"]["data"] = {"name": str(self.elsewhere)}
        for _ in range(case.draw.choice([1, 1, 2]) if not stranger else 0):
            case.tell(
                values.altered(
                    case.draw, header.get("record", header) if case.draw.random() < 0.95 else header
                )
            )
        path = case.write("m.safetensors", sealed(header, self.entries, self.body))
        reader = READERS[case.number % len(READERS)]
        outcome = case.command(reader, path, *self.options(case, reader))
        if outcome.code == 0 and stranger and reader == "evaluate":
            raise Fault("content", "evaluate read a path that the model file named")
        if outcome.code == 0 and reader in ("evaluate", "score"):
            check_numbers(outcome.json)

    def options(self, case: Case, reader: str) -> list[object]:
        """The rest of a command."""
        json = [["--json"], []][case.draw.randrange(2)]
        out = ["--engine", "full", "--out", case.folder / "x.npy"]
        split = case.draw.choice(["test", "val", "all"])
        return {
            "info": json,
            "evaluate": ["--limit", 2, "--split", split, "--json"],
            "sample": ["-n", 1, *out, *json],
            "score": [self.images, "--json"],
            "compress": [self.images, "-c"],
            "complete": [self.picture, "-n", 1, *out, *json],
        }[reader]


def check_numbers(found: dict[str, object]) -> None:
    """A score that counts is a number."""
    for key in ("nats_per_image", "bits_per_dim"):
        if not isinstance(found.get(key), float):
            raise Fault("content", f"{key} is {json.dumps(found.get(key))} with exit 0")
