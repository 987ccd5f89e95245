"""Depthwise sums: every engine weighs each feature's own past."""

import itertools

import pytest
import torch

from engines.depthwise import KINDS, Depthwise
from engines.walks import (
    FAST,
    alive,
    assert_engine_is_exact,
    assert_engines_draw_alike,
    assert_native_numbers_depend_on_the_image_alone,
    needs_native,
)
from pixelcnn import engines, outputs
from pixelcnn.engines.native import plan, sums

SHAPES = [(1, 5, 7), (3, 5, 7), (4, 3, 5), (1, 1, 1), (1, 1, 9), (1, 9, 1)]


def model_of(kind, shape, width=23):
    torch.manual_seed(0)
    output = outputs.Categorical(levels=3)
    out = output.parameters_per_pixel(shape[0])
    return alive(Depthwise(shape[0], out, "channel", width, kind), output, shape)


@pytest.mark.parametrize("engine", FAST)
@pytest.mark.parametrize("width", [8, 16, 53])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_engines_equal_full(kind, shape, width, engine):
    assert_engine_is_exact(model_of(kind, shape, width), engine)


@needs_native
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["plain", "ended", "mixed"])
def test_native_numbers_depend_on_the_image_alone(kind, channels):
    model = model_of(kind, (channels, 5, 7))
    ways = itertools.product((1, 2, 7, 13), (1, 3))
    assert_native_numbers_depend_on_the_image_alone(model, ways)


@needs_native
@pytest.mark.parametrize("kind", ["plain", "mixed"])
def test_all_engines_draw_the_same_levels(kind):
    assert_engines_draw_alike(model_of(kind, (3, 5, 7)))


@needs_native
@pytest.mark.parametrize("kind", ["plain", "ended", "mixed"])
def test_a_sum_is_one_instruction_a_stage(kind, monkeypatch):
    """Features lie as those that they sum, whatever the layout; rows above are summed once a row."""
    model, seen = model_of(kind, (3, 5, 7), width=48), []
    original = sums.Sums._depthwise

    def listed(emitter, job, *arguments):
        found = list(original(emitter, job, *arguments))
        seen.append((len(found), job.partial))
        return found

    monkeypatch.setattr(sums.Sums, "_depthwise", listed)
    plan(model, engines.program_of(model))
    stages = 3 + (kind == "mixed")
    assert sorted(seen) == [(1, False)] * stages + [(1, True)]
