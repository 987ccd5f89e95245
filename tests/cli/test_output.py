"""Where ``--out`` leads: files, links, pipes, and what stdout is for then."""

import io
import os
import pty
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SLOW = pytest.mark.slow


@pytest.fixture
def images(here):
    np.save("images.npy", np.random.default_rng(0).integers(0, 17, (4, 8, 8)).astype(np.uint8))
    return "images.npy"


@pytest.fixture
def pipe():
    """A pipe: the name of the end to write into, and a function that gives what was."""
    ours, theirs = os.pipe()
    parts: list[bytes] = []

    def drain():
        while part := os.read(ours, 65_536):
            parts.append(part)

    reader = threading.Thread(target=drain)
    reader.start()

    def content():
        os.close(theirs)
        reader.join()
        os.close(ours)
        return b"".join(parts)

    return f"/dev/fd/{theirs}", content


def test_scores_on_stdout_are_a_clean_table(run, model, images, capfd):
    outcome = run("score", model, images, "--out", "/dev/stdout")
    table = capfd.readouterr().out
    assert table == run("score", model, images).stdout
    assert outcome.stdout == ""
    assert outcome.stderr.endswith("/dev/stdout\n")


def test_a_grid_on_stdout_is_a_clean_picture(run, model, capfdbinary):
    run("sample", model, "-n", 2, "--out", "grid.png")
    outcome = run("sample", model, "-n", 2, "--out", "/dev/stdout")
    assert outcome.stdout == ""
    assert capfdbinary.readouterr().out == Path("grid.png").read_bytes()


@pytest.mark.parametrize("command", ["sample", "score", "complete"])
def test_stdout_is_not_for_two_things(run, model, images, capfd, command):
    words = [] if command == "sample" else [images]
    error = run(command, model, *words, "--json", "--out", "/dev/stdout", code=2).error
    assert error == "/dev/stdout and --json would both be stdout"


@pytest.mark.parametrize("command", ["sample", "complete"])
def test_a_terminal_gets_no_picture(run, model, images, command):
    ours, theirs = pty.openpty()
    words = [] if command == "sample" else [images]
    outcome = run(command, model, *words, "--out", f"/dev/fd/{theirs}", code=2)
    assert "is a terminal" in outcome.error
    os.close(ours)
    os.close(theirs)


def test_an_open_pipe_gets_a_picture_and_stays(run, model, pipe):
    name, content = pipe
    assert run("sample", model, "-n", 2, "--out", name).stdout == f"{name}\n"
    with Image.open(io.BytesIO(content())) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    "suffix", ["npy", *(pytest.param(s, marks=SLOW) for s in ("png", "gif", "npz"))]
)
def test_a_named_pipe_gets_what_its_suffix_says(run, model, here, suffix):
    os.mkfifo(f"fifo.{suffix}")
    found = []
    reader = threading.Thread(target=lambda: found.append(Path(f"fifo.{suffix}").read_bytes()))
    reader.start()
    run("sample", model, "-n", 2, "--out", f"fifo.{suffix}")
    reader.join()
    run("sample", model, "-n", 2, "--out", f"file.{suffix}")
    assert found == [Path(f"file.{suffix}").read_bytes()]
    assert stat.S_ISFIFO(os.stat(f"fifo.{suffix}").st_mode)


@pytest.mark.parametrize("command", ["sample", "complete", "score"])
def test_a_device_stays_a_device(run, model, images, command):
    words = [] if command == "sample" else [images]
    run(command, model, *words, "--out", "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize(
    "suffix", ["png", "csv", *(pytest.param(s, marks=SLOW) for s in ("gif", "npy"))]
)
def test_links_modes_and_owners_stay(run, model, images, suffix):
    meant, link = Path(f"meant.{suffix}"), Path(f"link.{suffix}")
    meant.write_bytes(b"old")
    meant.chmod(0o600)
    link.symlink_to(meant)
    command = ("score", model, images) if suffix == "csv" else ("sample", model, "-n", 2)
    assert run(*command, "--out", link).stdout == f"{link}\n"
    assert link.is_symlink()
    assert stat.S_IMODE(meant.stat().st_mode) == 0o600
    assert meant.read_bytes() != b"old"


@pytest.mark.parametrize("command", ["sample", "complete", "score"])
@pytest.mark.parametrize("out", ["file/a.png", "circle.png", "nowhere.png", "/dev/fd/999"])
def test_a_place_that_cannot_be_written_is_named_before_the_work(run, images, command, out):
    Path("file").touch()
    Path("circle.png").symlink_to("circle.png")
    Path("nowhere.png").symlink_to("missing/a.png")
    words = [] if command == "sample" else [images]
    outcome = run(command, "no-model", *words, "--out", out, code=2)
    assert outcome.error.split(": ")[0] in (out, "file")
    assert outcome.hint == "check the path and its permissions"


def test_a_name_that_begins_with_a_dash(run, model, here):
    run("sample", model, "-n", 2, "--out=-grid.png")
    assert os.listdir(here) == ["-grid.png"]


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_failure(model, here):
    np.save("images.npy", np.zeros((3_000, 8, 8), np.uint8))
    command = [
        sys.executable,
        "-m",
        "pixelcnn",
        "score",
        model,
        "images.npy",
        "--out",
        "/dev/stdout",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"name,nats")
        process.stdout.close()
        assert process.wait() == 141
        assert b"error" not in process.stderr.read()
