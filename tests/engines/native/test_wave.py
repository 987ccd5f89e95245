"""Rows of one image that advance together: the same levels as one row after the other."""

import pytest
import torch

from engines.walks import condition_for, images_of, model_of, needs_native
from pixelcnn import PixelModel, engines
from pixelcnn.drawing import uniforms
from pixelcnn.engines.native import NativeEngine
from pixelcnn.errors import PixelCNNError
from pixelcnn.networks import NETWORKS

pytestmark = needs_native

ALONE = {"diagonal-bilstm", "made", "pixelcnnpp", "snail"}
"""Networks whose rows wait for the end of the row above."""
TOGETHER = [name for name in NETWORKS if name not in ALONE]


def engine_of(model: PixelModel, n: int, threads: int) -> NativeEngine:
    program = engines.choose(model, "native").program
    return NativeEngine(model, program, n, condition_for(model, n), threads=threads)


def filled(model: PixelModel, n: int, threads: int):
    """Images whose first half is drawn, and how many rows advanced together."""
    torch.manual_seed(2)  # of the condition
    engine = engine_of(model, n, threads)
    given = images_of(model, n)
    known = torch.zeros_like(given, dtype=torch.bool)
    known[..., model.shape.width // 2 :] = True
    found = engine.fill(given, known, uniforms(0, range(n), model.shape), 1.0)
    return found, engine.together


@pytest.mark.parametrize("condition", [None, "label", "map"])
@pytest.mark.parametrize("shape", [(1, 11, 97), (3, 7, 101)])
@pytest.mark.parametrize("name", TOGETHER)
def test_rows_that_advance_together_draw_the_same_levels(name, shape, condition):
    model = model_of(name, shape, condition=condition)
    expected, alone = filled(model, 1, 1)
    assert alone == 1
    for n, threads in ((1, 2), (1, 5), (2, 7)):
        found, together = filled(model, n, threads)
        assert together > 1
        assert torch.equal(found[:1], expected)


@pytest.mark.parametrize("name", sorted(ALONE))
def test_what_reads_the_end_of_a_row_goes_row_by_row(name):
    _, together = filled(model_of(name, (1, 3, 97)), 1, 4)
    assert together == 1


def test_narrow_images_go_row_by_row():
    assert engine_of(model_of("compact", (1, 5, 7)), 1, 4).together == 1


def test_progress_comes_after_every_few_rows():
    model = model_of("pixelcnn", (1, 37, 97))
    given = images_of(model, 1)
    drawn = engine_of(model, 1, 2).rows(given, given < 0, uniforms(0, [0], model.shape), 1.0)
    assert [done for done, _ in drawn] == [16, 32, 37]


def test_a_row_that_fails_ends_them_all():
    model = model_of("pixelcnn", (1, 11, 97))
    engine = engine_of(model, 1, 3)
    given = torch.zeros(1, *model.shape, dtype=torch.int64)
    given[0, 0, 4, 50] = 2**31 - 1
    known = given > 0
    with torch.no_grad():
        model.network.input.weight.fill_(3e38)  # what reads that level overflows
    broken = engine_of(model, 1, 3)
    with pytest.raises(PixelCNNError, match="not finite"):
        broken.fill(given, known, uniforms(0, [0], model.shape), 1.0)
    assert engine.together == broken.together > 1
