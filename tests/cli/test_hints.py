"""Hints name options as they are typed, and the options are there."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pictures import save_pictures
from pixelcnn import checkpoint, networks, outputs
from pixelcnn.errors import ModelError
from pixelcnn.model import PixelModel
from pixelcnn.shapes import ImageShape


@pytest.fixture
def own(here):
    """Images of one's own that do not fit a model for grey 8x8 images as they are."""
    rng = np.random.default_rng(0)

    def folder(name, *shapes):
        save_pictures(here / name, (rng.integers(0, 256, shape, np.uint8) for shape in shapes))

    folder("large", (20, 30), (20, 30), (20, 30))
    folder("small", (6, 6), (6, 6))
    folder("mixed", (8, 8), (9, 8))
    folder("colour", (8, 8, 3), (8, 8, 3))
    np.save("small.npy", rng.integers(0, 17, (4, 6, 6)).astype(np.uint8))
    np.save("wide.npy", rng.integers(0, 17, (4, 8, 9)).astype(np.uint8))
    np.save("cube.npy", rng.integers(0, 17, (4, 3, 3, 3)).astype(np.uint8))
    np.savez("two.npz", a=np.zeros((4, 8, 8), np.uint8), b=np.zeros((4, 8, 8), np.uint8))
    (here / "short.csv").write_text("5,6,7,5\n" * 4 + "5,6\n")
    np.save("real.npy", rng.random((4, 8, 8)))
    rows = np.hstack([np.arange(8)[:, None] % 2, rng.integers(0, 17, (8, 64))])
    np.savetxt("ends.csv", np.hstack([rows[:, :64], rows[:, :1]]), "%d", ",")
    np.save("two.npy", rng.integers(0, 17, (2, 8, 8)).astype(np.uint8))


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("score MODEL large", "--size 8x8"),
        ("score MODEL wide.npy", "--size 8x8"),
        ("complete MODEL wide.npy", "--size 8x8"),
        ("score MODEL small --size 8 --fit crop", "--fit pad"),
        ("score MODEL small.npy --size 8", "--fit pad"),
        ("score MODEL mixed", "--size"),
        ("score MODEL cube.npy", "--layout 'n h w'"),
        ("score MODEL digits --layout nhwc", "--layout"),
        ("complete MODEL large/0.png", "--size 8x8"),
        ("complete MODEL small/0.png --size 8 --fit crop", "--fit pad"),
        ("complete MODEL cube.npy", "--layout"),
        ("evaluate MODEL --data two.npy", "--split all"),
        ("evaluate MODEL --data small --split all --size 8 --fit crop", "--fit pad"),
        ("train digits --size 9 --dry-run", "--fit pad"),
        ("train digits --data mixed --dry-run", "--size"),
        ("train digits --data two.npy --dry-run", "--set data.test="),
        ("train digits --init MODEL --data large --size 8 --dry-run", "--set data.levels="),
        ("train digits --data large --set data.split=tutorial --dry-run", "--set data.split="),
        ("train digits --layout nhw --dry-run", "--layout"),
        ("data prepare small packed --size 8 --fit crop", "--fit pad"),
        ("data prepare mixed packed", "--size"),
        ("data check cube.npy", "--layout 'n h w'"),
        ("data check two.npz", "--key"),
        ("data check short.csv", "--skip-bad"),
        ("data check real.npy", "`pixelcnn train --set data.quantise=`"),
        ("train digits --size 6 --init MODEL --dry-run", "--size 8x8"),
        ("train digits --rgb --init MODEL --dry-run", "--grey"),
        ("train digits --data real.npy --dry-run", "with `pixelcnn train --set data.quantise=`"),
        ("data check ends.csv", "--label-column"),
        ("score MODEL ends.csv", "--label-column"),
        ("compress MODEL large", "as 'pixelcnn sample' writes"),
        ("info short.csv", "run folder"),
    ],
)
def test_hints_name_the_option_as_it_is_typed(run, model, own, words, remedy):
    command = [str(model) if word == "MODEL" else word for word in words.split()]
    hint = run(*command, code=None).hint
    assert remedy in hint
    group = command[:2] if command[0] == "data" else command[:1]
    known = run(*group, "--help").stdout
    its_own = re.sub(r"`.*?`", "", hint)  # what is quoted is another command
    assert [flag for flag in re.findall(r"--[a-z-]+", its_own) if flag not in known] == []


def test_colour_for_a_grey_model_is_named_as_what_it_is(run, model, own):
    outcome = run("score", model, "colour", code=3)
    assert "in colour" in outcome.error
    assert "grey" in outcome.hint


@pytest.mark.parametrize("command", ["score m.px DATA --grey", "evaluate m.px --data DATA --grey"])
def test_grey_for_a_model_of_colour_is_said_to_be_too_much(run, own, here, command):
    output = outputs.Categorical(levels=256)
    network = networks.PixelCNN(3, output.parameters_per_pixel(3), width=6, depth=1)
    checkpoint.save(PixelModel(network, output, (3, 8, 8)), here / "m.px")
    extra = ("--split", "all") if command.startswith("evaluate") else ()
    words = command.replace("DATA", "colour").split()
    said = "bring them to it: --rgb, and no --grey"
    assert run(*words, *extra, code=4).hint.startswith(said)
    run(*words[:-1], *extra)  # without --grey
    run(*words[:-1], *extra, "--rgb")


def test_images_of_other_channels_say_which_options_change_them():
    shape = ImageShape(1, 8, 8)
    for wrong, hint in (((4, 3, 8, 8), "--grey, and no --rgb"), ((4, 2, 8, 8), "pass (n, ")):
        with pytest.raises(ModelError) as raised:
            shape.require(wrong)
        assert hint in raised.value.hint


@pytest.mark.parametrize(
    "words",
    [
        "complete MODEL large --size 8 --fit resize",
        "complete MODEL small --size 8 --fit pad",
        "complete MODEL wide.npy --size 8",
        "score MODEL small.npy --size 8 --fit pad",
        "score MODEL large --size 8",
        "score MODEL ends.csv --label-column last",
    ],
)
def test_what_hints_say_helps(run, model, own, words):
    run(*(str(model) if word == "MODEL" else word for word in words.split()))


@pytest.mark.parametrize(
    ("recipe", "wanted", "remedy"),
    [("gated-mnist-labels", "data.threshold=0.33", "data.binarise=none"),
     ("gated-mnist-labels", "data.levels=8", "data.binarise=none"),
     ("chainer-mnist", "data.quantise=[0,64,128,256]", "data.levels=none"),
     ("keras-mnist", "data.levels=8", "data.threshold=none")],
)  # fmt: skip
def test_what_a_recipe_says_of_levels_can_be_dropped(run, here, recipe, wanted, remedy):
    np.save(here / "images.npy", np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8))
    np.save(here / "labels.npy", np.arange(40) % 4)
    train = ("train", recipe, "--data", "images.npy", "--dry-run", "--set", wanted)
    assert f"--set {remedy}" in run(*train, code=2).hint
    run(*train, "--set", remedy)


def test_data_check_takes_what_its_hints_name(run, own, here):
    assert "1x8x8" in run("data", "check", "two.npz", "--key", "a").stdout
    assert "1x3x3" not in run("data", "check", "cube.npy", "--layout", "n h w c").stdout
    assert "images        4" in run("data", "check", "short.csv", "--skip-bad").stdout
    assert (
        "classes       0: 4, 1: 4"
        in run("data", "check", "ends.csv", "--label-column", "last").stdout
    )
    (here / "large/bad.png").write_bytes(b"")
    run("data", "check", "large", code=3)
    found = run("data", "check", "large", "--skip-bad", "--json").json
    assert (found["ok"], found["errors"]) == (True, 1)
    assert run("data", "check", "large", "--key", "a", code=2).error.startswith("key goes with")


def deep(here, part, most=2**16, kind="L"):
    (here / "deep" / part).mkdir(parents=True)
    values = np.linspace(0, most - 1, 64).astype(np.uint16).reshape(8, 8)
    for number in range(2):
        picture, path = Image.fromarray(values), here / "deep" / part / f"{number}.png"
        if kind == "L":
            picture.save(path)
        else:  # Pillow writes no colour of 16 bits
            path.with_suffix(".ppm").write_bytes(
                b"P6 8 8 65535\n" + values.astype(">u2").repeat(3).tobytes()
            )


def test_how_16_bits_are_kept_is_said_once(run, here):
    deep(here, "train")
    deep(here, "test")
    outcome = run("data", "check", "deep")
    assert "16 bits reduced to 8" in outcome.stdout
    assert outcome.stderr.count("to keep all bits") == 1
    assert outcome.stderr.rstrip().endswith(
        "say 65536 with source_levels (training: --set data.source_levels=65536;"
        " else --source-levels 65536)"
    )
    kept = run("data", "check", "deep", "--source-levels", "65536")
    assert "reduced" not in kept.stdout and "hint" not in kept.stderr


def test_of_many_files_that_change_alike_the_first_are_named(run, here):
    for number in range(40):
        picture = Image.fromarray(np.full((8, 8), number * 1000, np.uint16))
        picture.save(here / f"{number:02d}.png")
    (here / "39.png").write_bytes(b"no picture")
    text = run("data", "check", ".", code=3).stdout
    assert "09.png" in text and "10.png" not in text and "39.png" in text
    assert "and 29 more" in text


@pytest.mark.parametrize(("most", "kind"), [(2**12, "L"), (2**16, "PPM")])
def test_bits_that_cannot_be_kept_or_were_spoken_of_get_no_hint(run, here, most, kind):
    deep(here, "all", most, kind)
    outcome = run("data", "check", "deep")
    assert "16 bits reduced to 8" in outcome.stdout and "keep all bits" not in outcome.stderr
    assert ("say 4096 with source_levels" in outcome.stderr) == (kind == "L")


def test_a_folder_without_images_names_what_it_holds(run, here):
    (here / "csvs").mkdir()
    for name in ("b.csv", ".hidden", "a.npy"):
        (here / "csvs" / name).touch()
    hint = run("data", "check", "csvs", code=3).hint
    assert hint.endswith(
        "convert pictures of others; it holds a.npy, b.csv: "
        "an array or a table is given as a file, such as csvs/a.npy"
    )


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [("set.zip", b"PK", "unpack it"), ("set.tar.gz", b"", "unpack it"),
     ("train_32x32.mat", b"MATLAB 5.0", "scipy.io.loadmat"),
     ("a.pt", b"PK", "np.savez"), ("b1", b"\x80\x02}", "np.savez")],
)  # fmt: skip
def test_what_strangers_hold_and_is_not_read_has_a_way(run, here, name, content, remedy):
    (here / name).write_bytes(content)
    assert remedy in run("data", "check", name, code=3).hint


def test_a_note_is_said_once(run, model, here):
    header = b"".join(n.to_bytes(4, "big") for n in (2051, 3, 8, 8))
    (here / "train-images-idx3-ubyte").write_bytes(header + bytes(range(192)))
    (here / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\3" + bytes(3))
    for _ in range(2):  # of each command
        said = run("data", "check", "train-images-idx3-ubyte").stderr
        assert said.count("labels from train-labels-idx1-ubyte") == 1


def test_an_option_that_is_not_there_is_no_file(run, model):
    assert "--help" in run("sample", model, "--temprature", "0.5", code=2).hint
    assert "--help" in run("sample", model, "-n", "-0.5", code=2).hint


@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_nothing_piped_in_is_named(run, model, command):
    outcome = run(command, model, "-", code=3)
    assert outcome.error == "standard input is empty"
    assert "pipe" in outcome.hint


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
@pytest.mark.parametrize("words", [("info", "digits"), ("info", "--json"), ("--help",)])
def test_results_that_nothing_takes_are_a_full_disk(words, here, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pixelcnn", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    error, hint = done.stderr.splitlines()
    assert error == "pixelcnn: error: No space left on device"
    assert hint.startswith("hint: ") and done.returncode == 5
