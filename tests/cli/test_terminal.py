"""Commands in a terminal, as people run them: progress is drawn, and gone when the result is there."""

import csv
import io
import logging
import os
import re
import sys
import tomllib
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pixelcnn import checkpoint
from pixelcnn.charts import learning_curve
from pixelcnn.cli import app, console
from pixelcnn.cli.report import bars, figure, table
from pixelcnn.cli.score import as_csv
from pixelcnn.text import printable
from pixelcnn.training import toml
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


# ---------------------------------------------------------------- names that strangers chose

ESCAPES = "\x1b[2J\x1b]0;title\x07\x9b31m\r\n\u202egnp\u2066\u200b[red]:dog:$x^2$<b>"
"""Moves the cursor, sets the title, turns the text around, and what markup languages read."""


def shown(text):
    """What a terminal would not show as it is."""
    return {c for c in text if not c.isprintable() and c != "\n"}


@pytest.fixture
def evil(here, tiny):
    """A model, images and a recipe with such names."""
    folder = here / f"f{ESCAPES.replace('/', '')}"
    for kind in (f"=cat{ESCAPES}", f"dog{ESCAPES}"):
        (folder / kind).mkdir(parents=True)
        for number in range(12):
            path = folder / kind / f"{number}{ESCAPES}.png"
            Image.new("L", (8, 8), 16 * number).save(path)
    made = tiny()
    made.record["data"] = {**made.record["data"], "name": f"n{ESCAPES}"}
    checkpoint.save(made, here / f"m{ESCAPES}.safetensors")
    recipe = here / f"r{ESCAPES}.toml"
    recipe.write_text('[network]\nname = "nothing\\u001b[2J"\n', encoding="utf-8")
    return folder, here / f"m{ESCAPES}.safetensors", recipe


def test_no_name_reaches_the_terminal_as_a_command(evil):
    folder, model, recipe = evil
    picture = next(folder.rglob("*.png"))
    missing = f"missing{ESCAPES}"
    for words in (
        ("score", model, folder),
        ("score", model, folder, "--out", f"s{ESCAPES}.csv"),
        ("score", model, missing),
        ("--debug", "score", model, missing),
        ("score", model, folder, f"--{ESCAPES}"),
        (f"command{ESCAPES}",),
        ("evaluate", model),
        ("sample", model, "-n", 1, "--out", f"o{ESCAPES}.png"),
        ("sample", missing),
        ("sample", model, "--engine", missing),
        ("complete", model, picture, "-n", 1, "--known", "top", "--out", f"c{ESCAPES}.png"),
        ("info", model),
        ("info", recipe),
        ("info", missing),
        ("data", "check", folder),
        ("data", "check", missing),
        ("train", recipe, "--dry-run"),
        ("train", "--set", f"data.name='{missing}'", "--dry-run"),
    ):
        found = CliRunner().invoke(app, [str(word) for word in words])
        said = found.stdout + found.stderr
        assert said and shown(said) == set(), words
        assert not re.search(r"^.{0,3}gnp", said, re.MULTILINE), words  # no line was broken


@pytest.mark.slow
def test_no_name_reaches_the_terminal_or_the_log_of_a_training(run, evil):
    folder, _, _ = evil
    words = ("train", "--data", folder, "--epochs", 1, "--run", f"run{ESCAPES}")
    found = run(*words, "--set", "network.width=8", "--set", "network.depth=1")
    log = next(Path().glob("run*/train.log")).read_text(encoding="utf-8")
    assert shown(found.stdout + found.stderr + log) == set()
    assert "gnp" in found.stdout


def test_markup_in_a_cell_is_text(capsys):
    console.table("[red]t", ("a",), [("[bold]:dog: $x$ " + ESCAPES,)])
    text = capsys.readouterr().out
    assert "[red]t" in text and "[bold]:dog: $x$ \\x1b[2J" in text
    assert shown(text) == set()


def test_what_the_library_logs_is_one_line(capsys):
    console.NoteHandler().emit(logging.LogRecord("x", 20, "", 0, "a %s", (ESCAPES,), None))
    text = capsys.readouterr().err
    assert text.startswith("note: a \\x1b") and text.count("\n") == 1
    assert shown(text) == set()


def test_a_page_shows_names_as_they_are_written(tmp_path):
    text = table(["h" + ESCAPES], [["r" + ESCAPES]]) + bars([(ESCAPES, 1.0, True)], ESCAPES)
    (tmp_path / "a.png").touch()
    text += figure(tmp_path / "a.png", ESCAPES, ESCAPES)
    text += learning_curve({ESCAPES: [(1, 2.0), (2, 1.0)]}, ESCAPES, ESCAPES)
    assert shown(text) == set()
    assert "<b>" not in text


def test_a_recipe_is_written_in_escapes_that_it_is_read_from():
    text = toml.dumps({"data": {"name": f"Grüße {ESCAPES}\x7f\U000e0041"}})
    assert shown(text) == set() and "Grüße" in text
    assert tomllib.loads(text)["data"]["name"] == f"Grüße {ESCAPES}\x7f\U000e0041"


@pytest.mark.parametrize("name", ["Grüße", "写真", "फ़ोटो", "صورة", "а\u0301", "a\u3000b", "🐕"])
def test_letters_of_all_scripts_stay(name):
    assert printable(name) == name


def test_no_character_but_letters_marks_signs_and_spaces_is_printed():
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if (unicodedata.category(character) in hidden) != (printable(character) != character):
            raise AssertionError(f"U+{code:04X}")


@pytest.mark.parametrize(
    "sign", ["=", "+", "-", "@", "\t=", "\r=", "\n=", " =", "＝", "＋", "－", "＠"]
)
def test_a_cell_is_never_a_formula(sign):
    columns = {"name": [f"{sign}cmd|'/c calc'!A1"], "nats": [-1.5], "percentile": [50.0]}
    (_, found) = csv.reader(io.StringIO(as_csv(columns), newline=""))
    assert found[0].startswith(("'", "\\t", "\\r", "\\n"))
    assert found[1:] == ["-1.5000", "50.00"]
