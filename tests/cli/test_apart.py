"""No command replaces what it reads."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def files(here, model, picture):
    """A model, an array, what it is compressed to and a folder of pictures."""
    shutil.copy(model, "m.safetensors")
    images = np.random.default_rng(0).integers(0, 17, (4, 8, 8)).astype(np.uint8)
    np.save("a.npy", images)
    Path("photos").mkdir()
    picture("photos/a.png")
    os.link("a.npy", "again.npy")
    Path("link.npy").symlink_to("a.npy")


@pytest.mark.parametrize(
    "words",
    [
        "sample M --out r/best.safetensors/../../m.npy",
        "score M a.npy --out a.npy",
        "score M a.npy --out m.safetensors",
        "score M a.npy --out again.npy",
        "complete M a.npy --out link.npy",
        "complete M photos/a.png --out photos/a.png",
        "complete M photos --out photos/a.png",
        "complete M photos --out photos/drawn",
        "compress M a.npy --out a.npy --force",
        "complete M a.npy --known photos/a.png --out photos/a.png",
    ],
)
def test_what_is_read_is_not_replaced(words, run, files):
    Path("r/best.safetensors").mkdir(parents=True)
    Path("m.npy").symlink_to("m.safetensors")
    Path("photos/drawn").mkdir()
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    error = run(*words.replace("M", "m.safetensors").split(), code=2).error
    assert "read" in error
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_other_files_of_a_run_folder_and_of_a_folder_of_pictures_are_replaced(run, files):
    Path("r").mkdir()
    shutil.copy("m.safetensors", "r/best.safetensors")
    for _ in range(2):
        run("sample", "r", "-n", 1, "--out", "r/samples.png")
        run("score", "r", "photos", "--out", "photos/scores.csv")
