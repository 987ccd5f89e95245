"""``setup/install.sh`` names what is missing, installs in order, and does nothing twice.

A stand-in for Python records what it is asked to do, so nothing is downloaded.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INDEX = "https://wheels.example/cpu"

pytestmark = pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")

INTERPRETER = """#!/bin/sh
case "$*" in
    *"import venv, ensurepip"*) exit {venv_missing} ;;
    *print*version_info*) echo 3.12 ;;
    "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    "-m pip install"*) echo "$*" >> calls ;;
    *"import torch"*) exit 1 ;;
esac
"""


class Tree:
    """A copy of what the script reads, and a stand-in interpreter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("pyproject.toml", "constraints.txt", "setup/install.sh"):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        self.interpreter()

    def interpreter(self, venv_missing: int = 0) -> None:
        python = self.folder / "python"
        python.write_text(INTERPRETER.format(venv_missing=venv_missing))
        python.chmod(0o755)

    def install(self, extras: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "PYTHON": str(self.folder / "python")}
        return subprocess.run(
            ["sh", "setup/install.sh", extras],
            cwd=self.folder,
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        """What pip was asked to install since the last time."""
        file = self.folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines


@pytest.fixture
def tree(tmp_path) -> Tree:
    return Tree(tmp_path)


def test_pytorch_comes_first_and_alone(tree):
    done = tree.install("test")
    assert done.returncode == 0, done.stderr
    torch, package = tree.calls()
    assert torch.endswith("-c .venv/constraints.txt torch")
    assert package.endswith("-c .venv/constraints.txt -e .[test]")
    assert "MB to download" in done.stderr


def test_a_second_run_has_nothing_to_do(tree):
    tree.install("test,docs")
    tree.calls()
    for extras in ("test,docs", "test", ""):
        done = tree.install(extras)
        assert (done.returncode, done.stderr, tree.calls()) == (0, "", [])


def test_another_extra_and_another_pin_are_installed(tree):
    tree.install()
    tree.calls()
    tree.install("test")
    assert len(tree.calls()) == 2
    with (tree.folder / "constraints.txt").open("a") as file:
        file.write("another==1.0\n")
    tree.install("test")
    assert len(tree.calls()) == 2


def test_the_torch_index_serves_torch_alone(tree):
    tree.install(PIXELCNN_TORCH_INDEX=INDEX)
    torch, package = tree.calls()
    assert f"--index-url {INDEX}" in torch
    assert "--index-url" not in package


def test_another_torch_is_not_held_to_our_version(tree):
    tree.install(PIXELCNN_TORCH="==2.12.*")
    torch, _ = tree.calls()
    assert torch.endswith("torch==2.12.*")
    pins = (tree.folder / ".venv/constraints.txt").read_text().splitlines()
    names = [pin.split("==")[0] for pin in pins]
    assert "torch" not in names
    assert "accelerate" in names


@pytest.mark.parametrize(
    ("variables", "message", "hint"),
    [
        ({"PYTHON": "no-such-python"}, "needs Python 3.11", "apt install python3 python3-venv"),
        ({"PIXELCNN_TORCH": "cpu"}, "not a version", "PIXELCNN_TORCH_INDEX"),
    ],
)
def test_what_is_missing_is_named(tree, variables, message, hint):
    done = tree.install(**variables)
    assert done.returncode == 2
    error, remedy = done.stderr.splitlines()
    assert error.startswith("setup: error: ")
    assert message in error
    assert remedy.startswith("hint: ")
    assert hint in remedy


def test_a_missing_venv_module_is_named_with_its_package(tree):
    tree.interpreter(venv_missing=1)
    done = tree.install()
    assert done.returncode == 2
    assert "sudo apt install python3.12-venv" in done.stderr


def test_an_interrupted_installation_starts_again(tree):
    python = tree.folder / "python"
    python.write_text(python.read_text().replace('echo "$*" >> calls', "exit 1"))
    assert tree.install().returncode == 1
    tree.interpreter()
    shutil.copy(python, tree.folder / ".venv/bin/python")
    assert tree.install().returncode == 0
    assert len(tree.calls()) == 2
