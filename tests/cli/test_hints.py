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
    np.save("two.npy", rng.integers(0, 17, (2, 8, 8)).astype(np.uint8))


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
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
