"""What does not fit into memory is said in words, on a machine that would kill the process, too."""

import resource
import subprocess
import sys

import pytest

from pixelcnn import memory

LITTLE = """
import torch
from pixelcnn import memory

memory.available = lambda: 500 * 2**20
from pixelcnn.cli import main
main()
"""
"""The command line where little memory is free."""
LOWER = """
import resource
from pixelcnn import memory

resource.setrlimit(resource.RLIMIT_DATA, (400 * 2**20, resource.RLIM_INFINITY))
memory.bound()
print(resource.getrlimit(resource.RLIMIT_DATA)[0] >> 20)
"""
TRAIN = (
    "train digits --data digits --epochs 1 --set training.sample_count=0 --run r --batch-size 1000"
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux grants what is not there")


@pytest.fixture
def little(here):
    """Runs a command where little memory is free; gives exit code and stderr."""

    def run(line):
        words = [sys.executable, "-c", LITTLE, *line.split()]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    return run


def test_a_batch_too_large_for_memory_is_said_in_words(little):
    code, said = little(TRAIN)
    *_, error, hint = said.splitlines()
    assert (code, error) == (5, "pixelcnn: error: out of memory at batch size 1000")
    assert "--set training.micro_batch_size=500 " in hint


def test_the_same_batch_in_parts_fits(little):
    code, said = little(f"{TRAIN} --set training.micro_batch_size=20")
    assert code == 0, said


def test_nothing_is_bound_where_the_system_does_not_say(monkeypatch):
    before = resource.getrlimit(resource.RLIMIT_DATA)
    monkeypatch.setattr(memory, "available", lambda: None)
    assert memory.bound() is None
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_a_bound_that_is_lower_stays():
    words = [sys.executable, "-c", LOWER]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "400\n"
