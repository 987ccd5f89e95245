"""What an error says, and that it arrives."""

import copy
import traceback

import numpy as np
import pytest

import pixelcnn as px
from pixelcnn import plotting
from pixelcnn.errors import ConfigError, DataError, ModelError, PixelCNNError
from pixelcnn.training import Interrupted
from pixelcnn.training.processes import Followed

IMAGES = np.zeros((2, 1, 5, 7), np.uint8)


def test_a_traceback_shows_the_hint():
    shown = traceback.format_exception_only(DataError("one line", hint="what to do"))
    assert shown == ["pixelcnn.errors.DataError: one line\n", "hint: what to do\n"]
    assert traceback.format_exception_only(DataError("one line")) == [
        "pixelcnn.errors.DataError: one line\n"
    ]


@pytest.mark.parametrize(
    "error",
    [
        DataError("a", hint="b"),
        Interrupted("a", signum=15, hint="b"),
        Followed("a", "b", 3),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_arrives_from_another_process(error):
    found = copy.copy(error)  # rebuilt as from another process
    assert (str(found), found.hint, found.exit_code) == ("a", "b", error.exit_code)
    assert traceback.format_exception_only(found) == traceback.format_exception_only(error)


CALLS = {
    "compress": lambda model: px.compress(model, IMAGES),
    "decompress": lambda model: px.decompress(model, b""),
    "calibrate": lambda model: px.calibrate(model, IMAGES),
    "score": lambda m: px.score(m, IMAGES),
    "evaluate": lambda m: px.evaluate(m, IMAGES),
    "sample": px.sample,
    "batches": px.batches,
    "stream": px.stream,
    "complete": lambda m: px.complete(m, IMAGES, "top"),
    "verify": px.verify.check_model,
    "fit": lambda m: px.fit(m, IMAGES),
    "save": lambda m: px.save(m, "m.safetensors"),
    "values": lambda m: px.values(m, IMAGES),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wrong", ["digits", None], ids=str)
def test_the_name_of_a_model_is_no_model(call, wrong):
    with pytest.raises(PixelCNNError, match="model must be a"):
        CALLS[call](wrong)


def test_the_hint_says_where_models_come_from():
    with pytest.raises(ModelError) as caught:
        px.score("digits", IMAGES)
    assert "load" in caught.value.hint


@pytest.mark.parametrize("wrong", [None, 3, b"digits", "", "a\0b", [1], open], ids=repr)
def test_what_is_no_path_is_named_in_one_line(wrong):
    for call in (px.load, lambda path: px.save(px.load("digits"), path)):
        with pytest.raises(ConfigError, match="must be a text or a path, got ") as caught:
            call(wrong)
        assert caught.value.hint and "\n" not in str(caught.value)


def test_a_name_that_is_too_long_is_the_name_of_no_model():
    with pytest.raises(ModelError, match=r"no model file.* called 'a{299}\.\.\."):
        px.load("a" * 1_000)


@pytest.mark.parametrize(
    ("name", "reason", "hint"),
    [
        ("folder", "Is a directory", "name a file in it"),
        ("none/m.png", "No such file or directory", "make its folder first"),
        ("a" * 300 + ".png", "File name too long", "choose another path"),
    ],
)
def test_a_path_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path, name, reason, hint):
    path = tmp_path / name
    (tmp_path / "folder").mkdir()
    calls = [lambda: px.save(px.load("digits"), path)]
    if path.suffix:
        calls.append(lambda: plotting.save_grid(IMAGES, path, levels=2))
    for call in calls:
        with pytest.raises(ConfigError, match=f"{name} cannot be written: {reason}") as caught:
            call()
        assert caught.value.hint == hint
