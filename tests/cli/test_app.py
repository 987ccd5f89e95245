"""What all commands share: help, errors, exit codes."""

import errno
import os
import re
import subprocess
import sys

import pytest
import torch
from typer.testing import CliRunner

from cli.conftest import PAGES
from pixelcnn.cli import app, console, failures
from pixelcnn.errors import DataError, ModelError
from pixelcnn.training import recipe


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_every_help_page_opens_with_two_examples(run, words):
    text = run(*words, "--help").stdout
    examples = text.split("Examples:\n")[1].split("\n\n")[0].splitlines()
    assert len(examples) == 2
    assert all(line.strip().startswith("pixelcnn ") for line in examples)
    assert text.index("Examples:") < text.index("Options:")


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_every_option_shows_its_default(run, words):
    options = run(*words, "--help").stdout.split("\nOptions:\n")[1].split("\nCommands:")[0]
    for entry in re.split(r"\n  (?=-)", "\n" + options):
        if entry.strip() and not re.match(r"--(help|install-completion|show-completion)", entry):
            assert "[default: " in " ".join(entry.split()), entry


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_only_three_short_options_and_those_of_zstd(run, words):
    found = re.findall(r"(?<=\n  )-\w\b", run(*words, "--help").stdout)
    more = {"-c", "-k", "-t", "-l"} if "compress" in " ".join(words) else set()
    assert set(found) <= {"-n", "-o", "-f"} | more


def test_without_a_command_the_help_appears(run):
    assert run().stdout == run("--help").stdout


def test_every_command_is_told_of_in_a_whole_line(run):
    assert "..." not in run().stdout.split("Commands:")[1]


def test_version(run):
    assert re.fullmatch(r"pixelcnn \d+\.\d+\.\d+\n", run("--version").stdout)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("sampel",), "Did you mean 'sample'?"),
        (("inpaint",), "Did you mean 'complete'?"),
        (("eval", "x"), "Did you mean 'evaluate'?"),
        (("sample", "x", "--sed", "1"), "--seed"),
        (("sample", "x", "-n", "many"), "-n"),
        (("sample", "x", "-n", "0"), "-n"),
        (("sample", "x", "--seed", "-2"), ", got '-2'"),
        (("evaluate", "x", "--limit", "2.5"), ", got '2.5'"),
        (("sample",), "MODEL"),
        (("data", "chekc"), "Did you mean 'check'?"),
        (("--wrong",), "--wrong"),
        (("evaluate", "x", "--limit"), "--limit"),
        (("train", "digits", "--epochs", "9" * 5_000), "--epochs"),
        (("train", "digits", "--size", "9" * 5_000), "is not a size"),
        (("train", "digits", "--size", "65537x8"), "is not a size"),
        (("train", "digits", "--size", "\u0663"), "is not a size"),
        (("score", "x", "y", "--shard", "1/" + "9" * 5_000), "is no part of a whole"),
        (("score", "x", "y", "--shard", "\u0663/\u0664"), "is no part of a whole"),
        (("sample", "x", "--out", ""), "--out is empty"),
        (("train", "digits", "--run="), "--run is empty"),
        (("evaluate", ""), "an argument is empty"),
    ],
    ids=range(21),
)
def test_usage_errors_are_two_lines_and_code_2(run, words, error):
    outcome = run(*words, code=2)
    assert error in outcome.error
    assert "--help" in outcome.hint
    assert len(outcome.stderr.splitlines()) == 2
    assert outcome.stdout == ""


@pytest.mark.parametrize(
    "words", [("--debug", "sample", "x"), ("sample", "--debug", "x"), ("sample", "x", "--debug")]
)
def test_debug_shows_the_traceback_wherever_it_stands(here, words):
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 4
    assert "Traceback" in result.stderr
    assert "pixelcnn: error: " in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError("bad"), 3),
        (ModelError("bad"), 4),
        (MemoryError(), 5),
        (torch.OutOfMemoryError("CUDA out of memory"), 5),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 5),
        (ImportError("libtiff.so.6: failed to map segment from shared object"), 5),
        (OSError(errno.ENOSPC, "No space left on device", "a.png"), 5),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 5),
        (PermissionError(errno.EACCES, "Permission denied", "a.png"), 2),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a/b.png"), 2),
        (KeyboardInterrupt(), 130),
        (failures.Terminated(15), 143),
        (failures.Terminated(1), 129),
        (ValueError("our bug"), 1),
    ],
)
def test_exit_codes(error, code, capsys):
    def action():
        raise error

    assert failures.guarded(action, debug=False) == code
    stderr = capsys.readouterr().err
    assert stderr.startswith("pixelcnn: error: ")
    assert len(stderr.splitlines()) <= 2


@pytest.mark.parametrize(
    ("words", "page"),
    [("sample -n", "sample"), ("data check --size", "data check"), ("--nothing", "")],
)
def test_the_hint_to_a_usage_error_names_the_page_of_the_command(run, words, page):
    assert f"'{' '.join(['pixelcnn', *page.split()])} --help'" in run(*words.split(), code=2).hint


def test_signs_that_a_stream_cannot_write_are_escaped():
    command = [sys.executable, "-m", "pixelcnn", "evaluate", "digits", "--limit", "9"]
    plain = os.environ | {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    assert b" \\xb1 " in subprocess.run(command, env=plain, capture_output=True, check=True).stdout


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_that_leaves_hears_no_complaint(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "pixelcnn", "info"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == failures.UNREAD


def test_in_a_pipe_a_row_is_a_line(run):
    lines = [line.split(maxsplit=1) for line in run("info").stdout.splitlines()]
    for name in recipe.names():
        assert [name, recipe.get(name).about] in lines


def test_progress_is_silent_without_a_terminal(capsys):
    with console.progress("working") as advance:
        advance(1, 2)
    assert capsys.readouterr() == ("", "")


CLOSED = """
import os, sys
os.closerange(0, 3)
sys.stdin = sys.stdout = sys.stderr = None
from pixelcnn.cli import failures
failures.open_streams()
print("lost", flush=True), print("lost", file=sys.stderr)
handle = os.open("kept", os.O_CREAT | os.O_WRONLY)
writable = True
try:
    os.write(1, b"bytes")
except OSError:
    writable = False
os._exit(3 if handle > 2 and sys.stdin.read() == "" and not writable else 4)
"""


def test_closed_streams_hold_their_places_and_take_no_bytes(here):
    """As after ``>&- 2>&- <&-``: otherwise a file would get the number of stdout, and what is printed."""
    assert subprocess.run([sys.executable, "-c", CLOSED], cwd=here, check=False).returncode == 3
    assert (here / "kept").read_bytes() == b""


def test_bytes_for_a_closed_stdout_are_an_error(here, model):
    command = f'{sys.executable} -m pixelcnn compress "$0" - -c <&- >&-'
    done = subprocess.run(["sh", "-c", command, str(model)], stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert b"unexpected" not in done.stderr
