"""Primitives: every class is in the tables, and every table is complete or says what it lacks."""

import inspect
import re

import pytest
import torch

import pixelcnn.program as programs
from pixelcnn.engines.cached.operations import IN_PLACE, TABLE
from pixelcnn.program import (
    ELEMENTWISE,
    PRIMITIVES,
    Attend,
    Cat,
    Dense,
    Flatten,
    Node,
    Program,
    Sum,
    Tap,
    Unflatten,
    Unlowerable,
)


def concrete(kind):
    """A class and all below it that can be made."""
    below = [found for sub in kind.__subclasses__() for found in concrete(sub)]
    return below if inspect.isabstract(kind) or not hasattr(kind, "op") else [kind, *below]


def of_width(width):
    program = Program()
    return program, program.input(width)


def test_every_class_is_in_the_table_by_its_name():
    ours = [kind for kind in concrete(Node) if kind.__module__.startswith(programs.__name__)]
    assert set(ours) == set(PRIMITIVES.values())
    assert all(kind.op == op for op, kind in PRIMITIVES.items())
    assert all(kind.__doc__ for kind in ours)


def test_the_torch_engine_computes_every_primitive():
    elsewhere = (*IN_PLACE, Sum, Cat, Attend, Flatten, Dense, Unflatten)
    lacking = {op for op, kind in PRIMITIVES.items() if not issubclass(kind, elsewhere)} - set(
        TABLE
    )
    assert not lacking
    assert set(TABLE) <= set(PRIMITIVES)


@pytest.mark.parametrize("op", ELEMENTWISE)
def test_an_elementwise_function_gives_each_feature_by_itself(op):
    """A run of features of a value is the value of the run, which is how engines compute them."""
    torch.manual_seed(0)
    kind = ELEMENTWISE[op]
    slopes = torch.rand(5).double() if kind.takes_parameter else None
    options = {"sources": tuple(range(kind.arity)), "constants": (0.4, 0.7)[: len(kind.takes)]}
    node = kind(width=5, parameter=slopes, **options)
    values = [torch.randn(2, 3, 5).double() for _ in range(kind.arity)]
    whole, part = node.function(*values), slice(1, 5, 2)
    few = kind(width=2, parameter=None if slopes is None else slopes[part], **options)
    found = few.function(*(value[..., part] for value in values))
    torch.testing.assert_close(found, whole[..., part], rtol=0, atol=1e-14)


@pytest.mark.parametrize("op", ELEMENTWISE)
def test_an_elementwise_function_is_as_late_as_what_it_reads(op):
    kind = ELEMENTWISE[op]
    node = kind(
        width=3,
        sources=tuple(range(kind.arity)),
        constants=(1.0,) * len(kind.takes),
        parameter=torch.ones(3) if kind.takes_parameter else None,
    )
    read = [torch.tensor([0, -1, 2]), torch.tensor([1, -1, 0])][: kind.arity]
    assert node.stage(read, 3).tolist() == ([0, -1, 2] if kind.arity == 1 else [1, -1, 2])


def test_a_listing_names_the_constants():
    program, x = of_width(2)
    program.elementwise("softplus", x, constants=(2, 20))
    assert str(program).endswith("%1 = softplus(%0) -> 2  beta=2 threshold=20")


def taps(weight, live):
    """One tap of these shapes."""
    return [Tap(0, 0, torch.ones(weight), torch.ones(live) > 0)]


WRONG = {
    "add of values with": lambda p, x: p.elementwise("add", x, p.slice(x, 0, 2)),
    "features 2 to 2 of 5": lambda p, x: p.slice(x, 2, 2),
    "features 2 to 6 of 5": lambda p, x: p.slice(x, 2, 6),
    "a weight (3, 4) for 5 features": lambda p, x: p.taps(x, taps((3, 4), (3, 4)), None),
    "a mask (4,) for a weight (5,)": lambda p, x: p.depthwise(x, taps((5,), (4,)), None),
    "cannot be made 2 times finer": lambda p, x: p.taps(x, taps((5, 5), (5, 5)), None, up=2),
    "rows of 5 features, columns of 1": lambda p, x: p.position(
        torch.ones(3, 5), torch.ones(3, 1), like=x
    ),
    "a norm of 5 features with 3 in its gain": lambda p, x: p.norm(x, torch.ones(3), [0] * 5, 1e-6),
    "a norm of 5 features with 2 in its groups": lambda p, x: p.norm(
        x, torch.ones(5), [0] * 2, 1e-6
    ),
    "a norm of 5 features with 1 in its bias": lambda p, x: p.norm(
        x, torch.ones(5), [0] * 5, 1e-6, bias=torch.ones(1)
    ),
    "a weight (2, 5) of": lambda p, x: p.dense(
        p.flatten(x, 2, 3), torch.ones(2, 5), torch.ones(2, 5) > 0, None
    ),
    "only the levels of the input": lambda p, x: p.lookup(p.slice(x, 0, 5), torch.ones(5, 2, 3)),
}


@pytest.mark.parametrize("said", WRONG)
def test_what_does_not_fit_is_refused_when_it_is_written(said):
    with pytest.raises(Unlowerable, match=re.escape(said)):
        WRONG[said](*of_width(5))
