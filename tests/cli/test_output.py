"""Where ``--out`` leads: files, links, pipes, and what stdout is for then."""

import io
import os
import pty
import shutil
import stat
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import checkpoint, sampling
from pixelcnn.cli import output
from pixelcnn.errors import ResourceError

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


@pytest.mark.parametrize("out", ["/dev/stdout", "-"])
def test_scores_on_stdout_are_a_clean_table(run, model, images, capfd, out):
    Path("-").mkdir()
    outcome = run("score", model, images, "--out", out)
    table = capfd.readouterr().out
    assert table == run("score", model, images).stdout
    assert outcome.stdout == ""
    assert outcome.stderr.endswith("/dev/stdout\n")


@pytest.mark.parametrize("out", ["/dev/stdout", "-"])
def test_a_grid_on_stdout_is_a_clean_picture(run, model, capfdbinary, out):
    run("sample", model, "-n", 2, "--out", "grid.png")
    outcome = run("sample", model, "-n", 2, "--out", out)
    assert outcome.stdout == ""
    assert capfdbinary.readouterr().out == Path("grid.png").read_bytes()


@pytest.mark.parametrize("command", ["sample", "score", "complete"])
def test_stdout_is_not_for_two_things(run, model, images, capfd, command):
    words = [] if command == "sample" else [images]
    error = run(command, model, *words, "--json", "--out", "-", code=2).error
    assert error == "/dev/stdout and --json would both be stdout"


def lots(images, alive, error=None):
    """Images two at a time; an error in the place of the last. Keeps in a list who of them is alive."""
    for start in range(0, len(images), 2):
        if error is not None and start + 2 >= len(images):
            raise error
        lot = images[start : start + 2].clone()
        alive.append(weakref.ref(lot))
        yield lot


WRITERS = {
    "a.npy": lambda batches, path: output.save_array(batches, 11, path, 256),
    "a.npz": lambda batches, path: output.save_array(batches, 11, path, 256),
    "a": lambda batches, path: output.save_each(batches, 11, path, 17),
}


@pytest.mark.parametrize("name", WRITERS)
def test_images_are_written_as_they_come_and_let_go(here, name):
    Path("a").mkdir()
    images, alive = torch.randint(17, (11, 1, 2, 3), dtype=torch.uint8), []

    def counted():
        for lot in lots(images, alive):
            assert sum(each() is not None for each in alive) <= 4
            yield lot

    files = WRITERS[name](counted(), Path(name))
    if name == "a":
        found = np.stack([np.asarray(Image.open(file)) for file in files])[:, None].astype(int)
        found = found * 17 // 256
        assert files == [f"a/sample-{index:04d}.png" for index in range(11)]
    else:
        stored = np.load(name)
        found = stored if name == "a.npy" else stored["images"]
        assert found.dtype == np.uint8
    assert np.array_equal(found, images.numpy())


def test_an_array_in_parts_is_that_of_numpy(here):
    images = torch.randint(4_096, (7, 3, 2, 5), dtype=torch.int32)
    output.save_array(images.split(3), 7, Path("a.npy"), 256)
    np.save("b.npy", images.numpy())
    assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ResourceError("no memory")])
@pytest.mark.parametrize("name", WRITERS)
def test_what_stops_the_drawing_leaves_no_part_of_a_file(here, name, error):
    Path("a").mkdir()
    images = torch.zeros(11, 1, 2, 3, dtype=torch.uint8)
    with pytest.raises(type(error)):
        WRITERS[name](lots(images, [], error), Path(name))
    assert os.listdir() == ["a"]
    for file in Path("a").iterdir():
        Image.open(file).verify()
    assert len(os.listdir("a")) == (10 if name == "a" else 0)


def test_pictures_of_before_in_the_folder_are_told_of(here, capsys):
    images = [torch.zeros(3, 1, 1, 1, dtype=torch.uint8)]
    output.save_each(images, 3, here, 2)
    assert not capsys.readouterr().err
    output.save_each([images[0][:2]], 2, here, 2)
    assert capsys.readouterr().err.strip().endswith("holds 1 more PNG file, there before")


def test_names_of_many_pictures_sort_as_they_are_numbered(here):
    images = [torch.zeros(1, 1, 1, 1, dtype=torch.uint8)]
    assert output.save_each(images, 10_000, here, 2) == [str(here / "sample-0000.png")]
    assert output.save_each(images, 10_001, here, 2) == [str(here / "sample-00000.png")]


@pytest.mark.parametrize(
    ("command", "suffix", "said"),
    [
        ("sample", "png", "20,000 images of 1x8x8 are too many for a picture, which takes 3,306"),
        ("sample", "gif", "20,000 images of 1x8x8 are too many for an animation, which takes 196"),
        ("complete", "png", "80,004 images of 1x8x8 are too many for a picture"),
        ("complete", "gif", "80,000 images of 1x8x8 are too many for an animation"),
    ],
)
def test_more_images_than_a_picture_takes_are_refused_before_they_are_drawn(
    run, model, images, monkeypatch, command, suffix, said
):
    for name in ("batches", "complete"):
        monkeypatch.setattr(sampling, name, lambda *_, **__: pytest.fail("has drawn"))
    words = [] if command == "sample" else [images]
    outcome = run(command, model, *words, "-n", 20_000, "--out", f"a.{suffix}", code=2)
    assert outcome.error.startswith(said)
    assert ".npy" in outcome.hint
    assert os.listdir() == [images]


def test_an_image_that_is_too_large_for_a_picture_is_refused(run, tiny, here):
    checkpoint.save(tiny((1, 1_500, 1_500), 2), here / "m.safetensors")
    outcome = run("sample", "m.safetensors", "-n", 1, "--out", "a.gif", code=2)
    assert outcome.error == "an image of 1x1500x1500 is too large for an animation"


def test_an_array_that_the_disk_cannot_hold_is_refused_before_it_is_drawn(run, model, here):
    outcome = run("sample", model, "-n", 10**15, "--out", "a.npy", code=5)
    assert outcome.error.startswith("a.npy needs 64,000,000,000,000,000 bytes")
    assert os.listdir() == []


@pytest.mark.parametrize("command", ["sample", "complete"])
def test_a_number_that_is_too_long_to_be_told_is_refused(run, model, images, command):
    words = [] if command == "sample" else [images]
    outcome = run(command, model, *words, "--out", "a.npy", "-n", "9" * 4300, code=2)
    assert "should be less than or equal to" in outcome.error


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


def test_what_is_written_below_the_users_folder_lies_there(run, model, here, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))  # where engines are built
    monkeypatch.setenv("HOME", str(here / "home"))
    for out in ("~/a.npy", "~/drawn"):
        run("sample", model, "-n", 2, f"--out={out}")
    run("compress", "digits", "home/a.npy", "--out=~/a.pxc")
    run("decompress", "digits", "~/a.pxc", "--out=~/again.npy")
    run("data", "prepare", "home/drawn", "~/packed")
    made = {path.name for path in (here / "home").iterdir()}
    assert made == {"a.npy", "drawn", "a.pxc", "again.npy", "packed"}
    assert not (here / "~").exists()


def test_what_is_read_below_the_users_folder_is_found_there(run, model, recipe, here, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    monkeypatch.setenv("HOME", str(here))
    shutil.copy(model, here / "m.safetensors")
    for name in ("m.safetensors", recipe):
        run("info", f"~/{name}")
    run("sample", "~/m.safetensors", "-n", 2, "--out", "a.npy")
    run("compress", "digits", "~/a.npy", "-o", "b.pxc")
    run("info", "~/b.pxc")
    run("decompress", "digits", "~/b.pxc", "-f")
    assert not (here / "~").exists()


def test_the_model_is_not_replaced_wherever_its_folder_is_named_from(run, model, here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    shutil.copy(model, here / "m.safetensors")
    outcome = run("sample", "~/m.safetensors", "--out=~/m.safetensors", code=2)
    assert outcome.error.endswith("m.safetensors is read by this command")
