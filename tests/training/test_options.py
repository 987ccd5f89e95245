"""Training options refuse what cannot be used, and say what can."""

import ast
import dataclasses
import inspect
import itertools

import pytest

from pixelcnn.annotations import described
from pixelcnn.config import annotations
from pixelcnn.errors import ConfigError
from pixelcnn.training import TrainingOptions
from pixelcnn.training.options import seconds_in


def those(start):
    """The fields whose rule begins so in words."""
    kinds = annotations(TrainingOptions)
    return [name for name, kind in kinds.items() if described(kind).startswith(start)]


@pytest.mark.parametrize("name", those("an integer"))
@pytest.mark.parametrize("value", [-1, 1.5, True, "many", None])
def test_whole_numbers(name, value):
    with pytest.raises(ConfigError, match=f"training.{name}") as caught:
        TrainingOptions(**{name: value})
    assert repr(value) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("name", those("a number"))
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), True, "much"])
def test_numbers(name, value):
    with pytest.raises(ConfigError, match=f"training.{name}") as caught:
        TrainingOptions(**{name: value})
    assert caught.value.hint


@pytest.mark.parametrize("name", those("one of"))
def test_words(name):
    with pytest.raises(ConfigError, match=f"training.{name} must be one of"):
        TrainingOptions(**{name: "whatever"})


@pytest.mark.parametrize("value", [1, 0, 1.0, "true", None])
@pytest.mark.parametrize("name", those("true or false"))
def test_switches(name, value):
    with pytest.raises(ConfigError, match=f"training.{name} must be true or false"):
        TrainingOptions(**{name: value})


def test_every_field_says_what_it_takes():
    kinds = {"an integer": 14, "a number": 9, "one of": 5, "true or false": 3}
    assert {start: len(those(start)) for start in kinds} == kinds


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("betas", [0.9]), ("betas", [0.9, 1.0]), ("betas", 0.9), ("betas", ["a", "b"]),
        ("device", "tpu"), ("device", "cuda:x"), ("device", 3),
        ("max_time", "soon"), ("max_time", "0s"), ("max_time", ""), ("max_time", True),
        ("max_time", float("inf")), pytest.param("max_time", 10**5_000, id="digits"),
        ("max_time", "9" * 400 + "h"),
        ("device", "cuda:" + "9" * 5_000), ("device", "cuda:\u0663"),
        ("init", "a\0b"), ("init", ""),
        ("checkpoint_every", "often"),
    ],
)  # fmt: skip
def test_the_rest(name, value):
    with pytest.raises(ConfigError, match=f"training.{name}"):
        TrainingOptions(**{name: value})


def test_an_unknown_option_is_named_with_the_nearest_known_one():
    with pytest.raises(ConfigError, match=r"'learning_rat'.*'learning_rate'"):
        TrainingOptions.from_table({"learning_rat": 1})


def test_toml_types_are_taken_as_meant():
    options = TrainingOptions.from_table({"learning_rate": 1, "betas": [0, 0.5], "max_time": 90})
    assert (options.learning_rate, options.betas, options.seconds) == (1.0, (0.0, 0.5), 90.0)


def test_a_table_gives_the_same_options_again():
    options = TrainingOptions(epochs=3, max_time="2m", betas=(0.5, 0.6))
    assert TrainingOptions.from_table(options.as_table()) == options
    assert "max_time" not in TrainingOptions().as_table()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("45s", 45), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400)]
)
def test_durations(text, seconds):
    assert seconds_in("max_time", text) == seconds


def test_every_field_has_a_docstring():
    body = ast.parse(inspect.getsource(TrainingOptions)).body[0].body
    fields = [node.target.id for node in body if isinstance(node, ast.AnnAssign)]
    told = [
        node.target.id
        for node, after in itertools.pairwise(body)
        if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr)
    ]
    assert told == fields == [field.name for field in dataclasses.fields(TrainingOptions)]
