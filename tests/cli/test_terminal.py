"""Commands in a terminal, as people run them: progress is drawn, and gone when the result is there."""

import csv
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from pixelcnn import checkpoint
from terminal import CTRL_C, Finished, Terminal, in_terminal

PIXELCNN = (sys.executable, "-m", "pixelcnn")
TRAIN = (*PIXELCNN, "train", "digits", "--set", "network.width=8", "--set", "network.depth=1")
BAR = re.compile(r"[\u2501\u2578-\u259f]|\d%\||it/s|-:--")
"""What is in a progress bar and in nothing else: of rich, and of tqdm."""
COMMANDS = """
import shlex, sys
from pixelcnn.cli import app
for line in sys.argv[1:]:
    print("$ " + line, flush=True)
    code = app(shlex.split(line), standalone_mode=False)
    print("exit code", code, flush=True)
"""
"""Runs several commands one after another, since the start of one takes seconds."""
FIT = """
import pixelcnn as px
from pixelcnn import data, networks, outputs
train, val, test = data.load("digits")
network = networks.PixelCNN(channels=1, out=17, width=8, depth=1)
model = px.PixelModel(network, outputs.Categorical(levels=17), shape=(1, 8, 8))
history = px.fit(model, train.limit(64), val.limit(32), epochs=2, batch_size=32)
print("steps", history.steps)
"""
WIDE, NARROW, DUMB = {"columns": 80}, {"columns": 20}, {"term": "dumb"}


def terminals(*fast: dict[str, object]) -> pytest.MarkDecorator:
    """A test in every kind of terminal; those that are not ``fast`` are slow."""
    kinds = {"80 columns": WIDE, "20 columns": NARROW, "dumb": DUMB}
    marks = [() if options in fast else (pytest.mark.slow,) for options in kinds.values()]
    cases = [
        pytest.param(options, id=name, marks=marked)
        for (name, options), marked in zip(kinds.items(), marks, strict=True)
    ]
    return pytest.mark.parametrize("options", cases)


def check(found: Finished, code: int = 0) -> None:
    """What holds for every command in a terminal."""
    assert found.code == code, found.text
    assert "Traceback" not in found.text
    assert ("error:" in found.text) == (code != 0), found.text
    assert [line for line in found.lines if BAR.search(line)] == []


def moves(found: Finished) -> bool:
    """Whether anything was drawn and then drawn over."""
    return "\x1b[" in found.text or re.search(r"\r(?!\r*\n)", found.text) is not None


@terminals(WIDE, NARROW)
def test_training_ends_with_the_run_folder_and_no_bar(tmp_path, options):
    found = in_terminal([*TRAIN, "--epochs", "1", "--run", "r"], folder=tmp_path, **options)
    check(found)
    assert found.lines[-1] == "r"
    assert any(line.startswith("epoch 1/1 - ") for line in found.lines)
    assert moves(found) == (options != DUMB)
    checkpoint.load(tmp_path / "r")


def test_fit_in_a_script_draws_a_bar_and_takes_it_away(tmp_path):
    found = in_terminal([sys.executable, "-c", FIT], folder=tmp_path)
    check(found)
    assert moves(found)
    assert found.lines[-1] == "steps 4"


def test_ctrl_c_stops_a_training_that_can_go_on(run, here):
    with Terminal([*TRAIN, "--epochs", "100000", "--run", "r"], folder=here) as terminal:
        terminal.wait_for("epoch 1/100000 - ")
        terminal.press(CTRL_C)
        found = terminal.finish()
    check(found, code=130)
    assert "--resume" in found.lines[-1]
    checkpoint.load(here / "r")  # any stop validates once
    with (here / "r/metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    steps, epoch = int(rows[-1]["step"]), int(rows[-1]["epoch"])
    resumed = run("train", "--run", "r", "--resume", "--epochs", epoch + 1, "--json").json
    assert resumed["steps"] > steps > 0


@pytest.mark.slow
def test_a_closed_terminal_stops_a_training_that_can_go_on(here):
    with Terminal([*TRAIN, "--epochs", "100000", "--run", "r"], folder=here) as terminal:
        terminal.wait_for("epoch 1/100000 - ")
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), terminal.ours)  # nobody holds our side of it any more
        assert terminal.process.wait(timeout=60) == 129
    checkpoint.load(here / "r")
    assert (here / "r/last.safetensors").exists()
    assert "saved, validating once" in (here / "r/train.log").read_text()


@terminals(NARROW, DUMB)
def test_commands_show_in_a_terminal_what_they_write_elsewhere(run, model, here, options):
    np.save("own.npy", np.arange(6 * 64).reshape(6, 8, 8).astype(np.uint8) % 17)
    commands = [
        f"evaluate {model} --limit 100",
        f"sample {model} -n 3",
        f"score {model} own.npy",
        f"complete {model} own.npy -n 2",
    ]
    verify = f"verify {model}"
    program = [sys.executable, "-c", COMMANDS, *commands, verify]
    found = in_terminal(program, folder=here, **options)
    check(found)
    assert moves(found) == (options != DUMB)
    expected = []
    for line in commands:
        elsewhere = run(*line.split())
        said, results = elsewhere.stderr.splitlines(), elsewhere.stdout.splitlines()
        expected += [f"$ {line}", *said, *results, "exit code 0"]
    start = [*expected, f"$ {verify}"]
    table, end = found.lines[len(start) : -2], found.lines[-2:]
    assert found.lines[: len(start)] == start
    assert "promise" in table[0]
    assert re.fullmatch(r"(\d+) of \1 promises kept", end[0])
    assert end[1] == "exit code 0"


@terminals()
def test_the_demo_ends_with_its_numbers(tmp_path, options):
    words = (*PIXELCNN, "demo", "--max-time", "2s", "--out", "tour")
    found = in_terminal(words, folder=tmp_path, deadline=300, **options)
    check(found)
    assert found.lines[-1].split() == ["look", "at", str(Path("tour/index.html"))]
    assert (tmp_path / "tour/index.html").is_file()
