"""Who may use a run folder."""

import errno
import json
import os
import socket
import subprocess
import sys

import pytest

from faults import disk_full_at
from pixelcnn.errors import ConfigError, ResourceError
from pixelcnn.training.run import RunFolder


def test_a_new_folder_is_laid_out(tmp_path):
    with RunFolder(tmp_path / "a" / "b") as folder:
        folder.begin("[data]\n", {})
        assert folder.recipe.read_text() == "[data]\n"
        assert folder.checkpoints.is_dir()
        assert folder.samples.is_dir()
        assert "torch" in json.loads((folder.path / "environment.json").read_text())


def test_a_run_is_refused_without_resume(tmp_path):
    with RunFolder(tmp_path / "run") as folder:
        folder.begin("", {})
    with (
        pytest.raises(ConfigError, match=r"run already holds \w") as caught,
        RunFolder(tmp_path / "run"),
    ):
        pass
    assert "--resume (in Python resume=True)" in caught.value.hint
    assert "--run (in Python run=)" in caught.value.hint
    with RunFolder(tmp_path / "run", resume=True):
        pass


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_other_things_is_not_taken_over_nor_offered_to_be_resumed(tmp_path, resume):
    (tmp_path / "thesis.tex").touch()
    refused = pytest.raises(ConfigError, match=r"is not a run folder.*thesis\.tex, but no recipe")
    with refused as caught, RunFolder(tmp_path, resume=resume):
        pass
    assert caught.value.hint == "choose another folder with --run"


def test_a_failed_start_leaves_the_folder_usable(tmp_path):
    with pytest.raises(KeyError), RunFolder(tmp_path / "run"):
        raise KeyError
    with RunFolder(tmp_path / "run"):
        pass


def test_a_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(ConfigError, match="is a file"), RunFolder(path):
        pass
    with (
        pytest.raises(ConfigError, match="below cannot be written"),
        RunFolder(path / "below"),
    ):
        pass


def test_a_folder_without_permission_is_refused(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ConfigError, match="Permission denied"), RunFolder(tmp_path / "run"):
        pass


HOLDER = """
import sys
from pixelcnn.training.run import RunFolder
with RunFolder(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_in_use_names_the_process_and_a_dead_one_holds_nothing(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(
                ConfigError, match=f"in use by process {holder.pid} on {socket.gethostname()}"
            ),
            RunFolder(tmp_path / "run"),
        ):
            pass
        holder.kill()
        holder.wait()
    with RunFolder(tmp_path / "run"):
        assert (tmp_path / "run" / "run.lock").read_text().startswith(f"{os.getpid()} on ")
    assert not (tmp_path / "run" / "run.lock").exists()


def test_a_file_system_without_locks_keeps_nobody_out(tmp_path, monkeypatch):
    def without(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", without)
    with RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run") as folder:
        assert folder.path.is_dir()


def test_a_full_disk_is_no_wrong_option(tmp_path):
    with (
        disk_full_at(1),
        pytest.raises(ResourceError, match="disk full"),
        RunFolder(tmp_path / "run"),
    ):
        pass


FOLDERS = ["checkpoints", "samples", "tensorboard", "wandb"]
FILES = [
    "run.lock", "recipe.toml", "environment.json", "train.log", "metrics.csv", "best.safetensors",
    "last.safetensors", ".best.safetensors.x.tmp", "checkpoints/step-00000004.ckpt",
    "checkpoints/best.safetensors", "samples/epoch-0001.png", "tensorboard/events.out.tfevents.1",
    "notes.txt",
]  # fmt: skip
"""Where a link can lie in a run folder that comes from somebody else."""


def contents(folder):
    """Every file below a folder, and what is in it."""
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("place", "link"),
    [(place, os.symlink) for place in (*FOLDERS, *FILES, "wandb/id")]
    + [(place, os.link) for place in FILES],
)
def test_no_link_is_followed_in_a_run_folder(tmp_path, place, link):
    victim, trap = tmp_path / "victim", tmp_path / "run" / place
    with RunFolder(tmp_path / "run") as folder:
        folder.begin("", {})
    victim.mkdir()
    (victim / "file").write_text("dear to somebody")
    if trap.is_dir():
        trap.rmdir()
    trap.unlink(missing_ok=True)
    trap.parent.mkdir(exist_ok=True)
    link(victim if place in FOLDERS else victim / "file", trap)
    before = contents(tmp_path)
    with (
        pytest.raises(ConfigError, match=rf"{trap.name} .* link.*, and is not touched") as caught,
        RunFolder(tmp_path / "run", resume=True),
    ):
        pass
    assert caught.value.exit_code == 2
    assert contents(tmp_path) == before


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_recipe_that_is_no_file_of_the_folders_own_is_not_read(tmp_path, kind):
    (tmp_path / "elsewhere").write_text("secret = 1")
    if kind == "link":
        (tmp_path / "recipe.toml").symlink_to("elsewhere")
    else:
        os.mkfifo(tmp_path / "recipe.toml")
    with pytest.raises(ConfigError, match="and is not touched"):
        RunFolder(tmp_path).stored()
    (tmp_path / "recipe.toml").unlink()
    (tmp_path / "recipe.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not valid TOML"):
        RunFolder(tmp_path).stored()


def test_a_run_folder_may_be_reached_by_a_link(tmp_path):
    (tmp_path / "large disk").mkdir()
    (tmp_path / "runs").symlink_to("large disk")
    with RunFolder(tmp_path / "runs" / "a") as folder:
        folder.begin("", {})
    (tmp_path / "b").symlink_to("runs/a")
    with RunFolder(tmp_path / "b", resume=True):
        pass
    assert (tmp_path / "large disk" / "a" / "recipe.toml").is_file()


@pytest.mark.parametrize("left", [(), ("run.lock",), ("run.lock", ".recipe.toml.x3.tmp")])
def test_a_start_that_was_killed_can_be_resumed(left, tmp_path):
    for name in left:
        (tmp_path / name).write_text("")
    with RunFolder(tmp_path, resume=True) as folder:
        folder.begin("", {})


def test_leftovers_of_an_interrupted_write_go(tmp_path):
    with RunFolder(tmp_path / "run") as folder:
        folder.begin("", {})
        (folder.path / ".best.safetensors.x1.tmp").write_text("")
        (folder.checkpoints / ".step-00000001.ckpt.x2.tmp").write_text("")
    with RunFolder(tmp_path / "run", resume=True) as folder:
        folder.begin("", {})
        assert not list(folder.path.glob("**/.*.tmp"))
