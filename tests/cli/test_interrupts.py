"""Ctrl-C while modules are still being imported: one line, and the exit code of an interruption."""

import subprocess
import sys

import pytest

from terminal import Terminal

PRESSED = """
import os, signal, sys

moment = sys.argv.pop(1)

class Pressed:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Pressed())
from pixelcnn.__main__ import main
main()
"""
"""Presses Ctrl-C as a module is imported whose name is the first word; the others are a command line."""
IN_FRONT = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{PRESSED}"
"""The same where the tests run in the background of a shell, which has Ctrl-C ignored there."""
MOMENTS = ("pixelcnn.cli", "typer.core", "torch", "numpy.lib", "torch.nn", "pixelcnn.scoring")


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupted_import_ends_in_one_line(here, model, moment):
    words = [sys.executable, "-c", IN_FRONT, moment, "evaluate", str(model)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = done.returncode, done.stdout, done.stderr
    assert found == (130, "", "pixelcnn: error: interrupted\n")


def test_in_a_terminal_too(here, model):
    words = [sys.executable, "-c", IN_FRONT, "torch.nn", "sample", str(model)]
    with Terminal(words, folder=here) as it:
        found = it.finish()
    assert (found.code, found.lines) == (130, ["pixelcnn: error: interrupted"])


def test_where_interruptions_are_ignored_they_stay_so(here, model):
    words = (
        f"trap '' INT; exec {sys.executable} -c \"$0\" torch.nn evaluate {model} --limit 2 --json"
    )
    done = subprocess.run(["sh", "-c", words, PRESSED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
