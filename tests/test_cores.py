"""Cores of a container are those that its quota gives."""

import os
import subprocess
import sys

import pytest

from pixelcnn import cores, memory
from pixelcnn.cores import PERIOD, QUOTA


def machine(monkeypatch, groups, files):
    """A process in control groups; what their files say."""
    texts = {
        "/proc/self/cgroup": groups,
        **{f"/sys/fs/cgroup/{name}": text for name, text in files.items()},
    }
    monkeypatch.setattr(memory, "text_of", lambda path: texts.get(str(path), ""))
    monkeypatch.setattr(cores, "text_of", memory.text_of)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.mark.parametrize(
    ("groups", "files", "count"),
    [
        ("0::/", {"cpu.max": "max 100000"}, 64),
        ("0::/", {"cpu.max": "200000 100000"}, 2),
        ("0::/a/b", {"a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"}, 2),
        ("0::/gone", {"cpu.max": "20000 100000"}, 1),
        ("4:cpu,x:/docker/y\n0::/", {f"cpu,x/{QUOTA}": "300000\n", f"cpu,x/{PERIOD}": "100000\n"}, 3),
        ("4:cpu:/", {f"cpu/{QUOTA}": "-1", f"cpu/{PERIOD}": "100000"}, 64),
        ("", {}, 64),
    ],
)  # fmt: skip
def test_cores_are_those_of_the_quota(monkeypatch, groups, files, count):
    machine(monkeypatch, groups, files)
    assert cores.cores() == count


def test_the_command_line_takes_no_more_threads_than_the_quota():
    code = (
        "import os; os.cpu_count = lambda: 4096\n"
        "import pixelcnn.cli, sys; app = sys.modules['pixelcnn.cli.app']\n"
        "app.app = lambda: print(os.environ['OMP_NUM_THREADS'], 'torch' in sys.modules)\n"
        "app.main()"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    ran = subprocess.run(
        [sys.executable, "-c", code], check=False, env=environment, capture_output=True, text=True
    )
    assert ran.stdout.split() == [str(cores.cores()), "False"], ran.stderr
