"""Embedded codes: every engine looks them up."""

import pytest
import torch

import tiny
from engines.walks import (
    FAST,
    assert_engine_is_exact,
    assert_engines_draw_alike,
    images_of,
    model_of,
    needs_native,
    parameters,
)
from pixelcnn import engines
from pixelcnn.engines.stages import stages_of
from pixelcnn.program import Program, Unlowerable


@pytest.mark.parametrize(
    "embedding", [5, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 16))]
)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", tiny.EMBEDS)
@pytest.mark.parametrize("engine", FAST)
def test_every_engine_looks_up_what_full_does(engine, name, channels, embedding):
    model = model_of(name, (channels, 5, 7), levels=7, embedding=embedding, codes=7)
    assert_engine_is_exact(model, engine)


@needs_native
def test_all_engines_draw_the_same_codes():
    model = model_of("gated-pixelcnn", (3, 5, 7), levels=7, embedding=4, codes=7)
    assert_engines_draw_alike(model)


@pytest.mark.parametrize("engine", FAST)
def test_the_largest_code_is_not_rounded(engine):
    """65,536 levels, all of which a float32 can tell apart."""
    levels = 65_536
    model = model_of("pixelcnn", (1, 3, 5), levels=levels, embedding=2, codes=levels, head_depth=0)
    with torch.no_grad():
        model.network.embed.weight[0, -2:] = torch.tensor([[-3.0, 3.0], [5.0, -5.0]])
    images = torch.full((1, 1, 3, 5), levels - 1)
    images[..., 1::2] -= 1
    fast = parameters(model, engines.start(model, 1, None, engine), images)
    slow = parameters(model, engines.start(model, 1, None, "full"), images)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-4)


@needs_native
@pytest.mark.parametrize(("outside", "nearest"), [(-1, 0), (7, 6), (2**31 - 1, 6), (-(2**31), 0)])
def test_a_level_outside_the_table_reads_its_nearest_row(outside, nearest):
    model = model_of("pixelcnn", (1, 3, 5), levels=7, embedding=4, codes=7)
    images = images_of(model, 2)
    images[..., 1, :] = nearest
    expected = parameters(model, engines.start(model, 2, None, "native"), images)
    images[..., 1, :] = outside
    got = parameters(model, engines.start(model, 2, None, "native"), images)
    assert torch.equal(got, expected)


def test_the_features_of_a_channel_are_known_with_its_level():
    program = Program()
    program.lookup(program.input(3), torch.randn(3, 5, 2))
    assert stages_of(program, 3)[1].tolist() == [1, 1, 2, 2, 3, 3]
    assert stages_of(program, 1)[1].tolist() == [1] * 6


def test_only_levels_are_looked_up():
    program = Program()
    computed = program.elementwise("relu", program.input(1))
    with pytest.raises(Unlowerable, match="only the levels"):
        program.lookup(computed, torch.randn(1, 5, 2))
