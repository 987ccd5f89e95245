"""Functions of single float64 operations are what they are named after, and the same everywhere."""

import hashlib

import numpy as np
import pytest
import torch

from pixelcnn.codec.functions import UNARY, tabulated
from pixelcnn.program import ELEMENTWISE

CONSTANTS = {
    "elu": (0.7,), "softplus": (1.5, 20.0), "leaky_relu": (0.1,), "clamp": (-1.0, 2.5), "scale": (-0.3,),
    "shift": (0.4,),
}  # fmt: skip


def node(op):
    return ELEMENTWISE[op](sources=(0,), width=1, constants=CONSTANTS.get(op, ()))


@pytest.mark.parametrize("op", UNARY)
def test_they_are_what_the_primitives_compute(op):
    values = np.linspace(-9, 9, 1001)
    expected = node(op).function(torch.from_numpy(values)).numpy()
    assert np.abs(tabulated(node(op), values) - expected).max() <= 1e-11 * np.abs(expected).max()


def test_every_function_of_one_value_has_one():
    single = {op for op, kind in ELEMENTWISE.items() if kind.arity == 1}
    assert single - {"prelu"} == set(UNARY)


def test_their_bits_are_the_same_on_every_machine():
    values = np.arange(-4_000, 4_000) / 256
    found = hashlib.sha256()
    for op in sorted(UNARY):
        found.update(np.ascontiguousarray(tabulated(node(op), values), "<f8"))
    assert found.hexdigest()[:16] == "fbf9082ad53d3673"
