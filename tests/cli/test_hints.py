"""Hints name options as they are typed, and the options are there."""

import re

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def own(here):
    """Images of one's own that do not fit a model for grey 8x8 images as they are."""
    rng = np.random.default_rng(0)

    def folder(name, *shapes):
        (here / name).mkdir()
        for index, shape in enumerate(shapes):
            values = rng.integers(0, 256, shape).astype(np.uint8)
            Image.fromarray(values).save(here / name / f"{index}.png")

    folder("large", (20, 30), (20, 30))
    folder("small", (6, 6), (6, 6))
    folder("mixed", (8, 8), (9, 8))
    folder("colour", (8, 8, 3), (8, 8, 3))
    np.save("small.npy", rng.integers(0, 17, (4, 6, 6)).astype(np.uint8))
    np.save("wide.npy", rng.integers(0, 17, (4, 8, 9)).astype(np.uint8))
    np.save("cube.npy", rng.integers(0, 17, (4, 3, 3, 3)).astype(np.uint8))
    np.savez("two.npz", a=np.zeros((4, 8, 8), np.uint8), b=np.zeros((4, 8, 8), np.uint8))
    (here / "short.csv").write_text("5,6,7,5\n" * 4 + "5,6\n")
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
        ("train digits --data large --set data.split=tutorial --dry-run", "--set data.split="),
        ("train digits --layout nhw --dry-run", "--layout"),
        ("data prepare small packed --size 8 --fit crop", "--fit pad"),
        ("data prepare mixed packed", "--size"),
        ("data check cube.npy", "--layout 'n h w'"),
        ("data check two.npz", "--key"),
        ("data check short.csv", "--skip-bad"),
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


@pytest.mark.parametrize(
    "words",
    [
        "complete MODEL large --size 8 --fit resize",
        "complete MODEL small --size 8 --fit pad",
        "complete MODEL wide.npy --size 8",
        "score MODEL small.npy --size 8 --fit pad",
        "score MODEL large --size 8",
    ],
)
def test_what_hints_say_helps(run, model, own, words):
    run(*(str(model) if word == "MODEL" else word for word in words.split()))


def test_data_check_takes_what_its_hints_name(run, own, here):
    assert "1x8x8" in run("data", "check", "two.npz", "--key", "a").stdout
    assert "1x3x3" not in run("data", "check", "cube.npy", "--layout", "n h w c").stdout
    assert "images        4" in run("data", "check", "short.csv", "--skip-bad").stdout
    (here / "large/bad.png").write_bytes(b"")
    run("data", "check", "large", code=3)
    found = run("data", "check", "large", "--skip-bad", "--json").json
    assert (found["ok"], found["errors"]) == (True, 1)
    assert run("data", "check", "large", "--key", "a", code=2).error.startswith("key goes with")


def test_a_folder_without_images_names_what_it_holds(run, here):
    (here / "csvs").mkdir()
    for name in ("b.csv", ".hidden", "a.npy"):
        (here / "csvs" / name).touch()
    hint = run("data", "check", "csvs", code=3).hint
    assert hint.endswith("it holds a.npy, b.csv: an array or a table is given as a file")


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [("set.zip", b"PK", "unpack it"), ("set.tar.gz", b"", "unpack it"), ("b1", b"\x80\x02}", "np.savez")],
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
