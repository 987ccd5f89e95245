"""What ``--help`` shows works as it is printed."""

import re
import shlex
import shutil

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import pixelcnn as px
from cli.conftest import PAGES
from pictures import save_pictures
from pixelcnn import data
from pixelcnn.cli import app

NO_RUN = {"demo", "reproduce"}
"""Commands whose examples take minutes: they are only parsed here."""


def examples(words):
    """The single commands in the examples of a help page, as words, without ``pixelcnn``."""
    text = CliRunner().invoke(app, [*words, "--help"]).stdout
    lines = text.split("Examples:\n")[1].split("\n\n")[0].splitlines()
    commands = [part.strip() for line in lines for part in line.split("|")[0].split("&&")]
    assert all(command.startswith("pixelcnn ") for command in commands)
    return [shlex.split(command)[1:] for command in commands]


def test_what_reads_data_alone_names_no_training_and_packs_no_patches():
    check, prepare = (
        CliRunner().invoke(app, ["data", name, "--help"]).stdout for name in ("check", "prepare")
    )
    assert "as in training" not in check and "resize|nearest|crop|pad|patches" in check
    assert "resize|nearest|crop|pad " in prepare and "patches" not in prepare


@pytest.fixture(scope="module")
def trained(model, tmp_path_factory):
    """A model that can compress."""
    made, path = px.load(model), tmp_path_factory.mktemp("trained") / "best.safetensors"
    px.calibrate(made, data.load("digits").val.images[:4])
    px.save(made, path)
    return path


@pytest.fixture
def prepared(here, trained):
    """A folder in which ``pixelcnn train digits`` has run, with photos of one's own."""
    (here / "runs/digits-digits").mkdir(parents=True)
    shutil.copy(trained, here / "runs/digits-digits")
    photos = np.random.default_rng(0).integers(0, 256, (12, 72, 100), np.uint8)
    save_pictures(here / "photos", photos, "{:02}.png")
    return here


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_every_example_runs_after_a_training(run, prepared, words):
    before = set(prepared.rglob("*"))
    for command in examples(words):
        if command[0] in NO_RUN:
            page = typer.main.get_command(app).commands[command[0]]
            page.make_context(command[0], command[1:])
            continue
        outcome = run(*command, *(["--dry-run"] if command[0] == "train" else []))
        assert outcome.stdout
        for name in re.findall(r"^\S+\.(?:png|gif|csv)$", outcome.stdout, re.MULTILINE):
            assert prepared / name not in before
            assert (prepared / name).is_file()
