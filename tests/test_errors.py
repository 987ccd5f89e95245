"""What an error says, and that it arrives."""

import copy
import traceback

import numpy as np
import pytest

import pixelcnn as px
from pixelcnn.errors import DataError, ModelError, PixelCNNError
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
