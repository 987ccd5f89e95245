"""Registries and configurations teach when something is wrong."""

import datetime
import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, Unpack

import numpy as np
import pytest

from pixelcnn import config, networks, outputs
from pixelcnn.annotations import Range, fitting
from pixelcnn.config import arguments, checked, from_config, gated, to_config
from pixelcnn.errors import ConfigError, UnknownName
from pixelcnn.networks import NETWORKS
from pixelcnn.outputs import OUTPUTS


def test_a_configuration_builds_the_same_thing_again():
    network = networks.GatedPixelCNN(
        channels=3, out=6, width=9, depth=2, condition="label", condition_size=4
    )
    config = json.loads(json.dumps(to_config(NETWORKS, network)))
    assert to_config(NETWORKS, from_config(NETWORKS, config)) == config
    assert from_config(
        OUTPUTS, to_config(OUTPUTS, outputs.Categorical(levels=7))
    ) == outputs.Categorical(levels=7)


def test_what_may_be_built_may_be_stored():
    network = networks.PixelCNN(channels=1, out=2**20, width=1, depth=0)
    config = to_config(NETWORKS, network)
    assert to_config(NETWORKS, from_config(NETWORKS, config)) == config


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "pixelcn", "channels": 1, "out": 1}, "Did you mean 'pixelcnn'"),
        ({"name": "pixelcnn", "channels": 1, "out": 1, "widht": 8}, "Did you mean 'width'"),
        ({"name": "pixelcnn", "channels": 1}, "needs out"),
        (
            {"name": "pixelcnn", "channels": 1, "out": 1, "width": 10**9},
            "width must be an integer from 1 to 16384",
        ),
        (
            {"name": "pixelcnn", "channels": 1, "out": 1, "depth": -1},
            "depth must be an integer from 0",
        ),
        ({"name": "pixelcnn", "channels": 1, "out": 1, "width": {}}, "width must be an integer"),
        ({"name": "pixelcnn", "channels": 3, "out": 4}, "cannot be shared by 3 channels"),
        ({"name": "pixelcnn", "channels": 3, "out": 3, "width": 2}, "without a feature map"),
        ({"name": "pixelcnn", "channels": 1, "out": 1, "activation": "tanhh"}, "must be one of"),
        ({"channels": 1}, "no network called None"),
    ],
)
def test_a_bad_configuration_is_named(config, message):
    with pytest.raises(ConfigError, match=message):
        from_config(NETWORKS, config)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownName) as caught:
        OUTPUTS["gaussian"]
    assert "bernoulli" in caught.value.hint


@pytest.mark.parametrize(
    ("kind", "value", "plain"),
    [
        (int, np.int64(3), 3), (float, np.float32(0.5), 0.5), (float, 2, 2.0), (bool, np.bool_(True), True),
        (str, np.str_("relu"), "relu"), (tuple[int, ...], [1, 2], (1, 2)), (tuple[str, ...], "a", ("a",)),
        (int | None, None, None), (Literal["auto", "32"], 32, "32"), (Any, 1j, 1j),
    ],
)  # fmt: skip
def test_what_fits_an_annotation_comes_in_plain_types(kind, value, plain):
    found = fitting(value, kind)
    assert (found, type(found)) == (plain, type(plain))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((int, value) for value in (True, 3.0, 2.7, "3", None, [3], {}, datetime.date(1979, 5, 27))),
        *((float, value) for value in (True, "3", math.nan, math.inf, np.float64("nan"), 10**400, None)),
        *((bool, value) for value in (1, 0, 1.0, "true", None)),
        *((str, value) for value in (3, b"a", "", "a\0b", "x" * 5_000, None, ["a"])),
        *((str | Path, value) for value in (True, Path("a\0b"), "a\0b")),
        *((tuple[int, int], value) for value in ([1], [1, 2, 3], [1, True], 3, "12", [[1], [2]])),
        *((Literal["label", "1"], value) for value in ("lable", 2, True, None, 10**9)),
        *((Literal[2, 3], value) for value in (2.0, True, "2")),
        (Annotated[int, Range(1, 7, odd=True)], 4), (Annotated[float, Range(0, 1, below=True)], 1),
        (type(None), 0), (Path, "a"),
    ],
)  # fmt: skip
def test_nothing_is_taken_for_something_else(kind, value):
    with pytest.raises(ConfigError, match="x must be"):
        checked("x", value, kind)


def test_a_message_shows_only_the_beginning_of_a_value():
    for value in ("x" * 10**5, 10**10_000, [[]] * 10**4):
        with pytest.raises(ConfigError) as caught:
            checked("x", value, float)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", list(NETWORKS))
def test_constructors_refuse_what_their_annotations_do_not_take(name):
    kind = NETWORKS[name]
    first = {"channels": 1, "out": 2, "width": 6, "blocks" if name == "pixelcnnpp" else "depth": 1}
    for key, parameter in arguments(kind).items():
        for value in (datetime.date(1979, 5, 27), math.nan, -1, {}, [[1]], "a\0b", 10**5_000):
            with pytest.raises(ConfigError, match=f"{key} must be"):
                kind(**first | {key: value})
        if isinstance(parameter.default, bool):
            continue
        with pytest.raises(ConfigError, match=f"{key} must be"):
            kind(**first | {key: True})


def test_numpy_scalars_leave_no_trace_in_a_configuration():
    network = networks.PixelCNN(np.int64(1), np.uint8(2), width=np.int16(6), depth=np.int64(1))
    assert json.dumps(to_config(NETWORKS, network))
    assert outputs.Categorical(levels=np.int64(7)) == outputs.Categorical(levels=7)
    assert type(outputs.Categorical(levels=np.int64(7)).levels) is int


class Keeps(networks.PixelCNN):
    def __init__(self, channels, out, size=4, parts=None):
        super().__init__(channels, out, width=size, depth=1)
        if parts:
            self.size, self.parts = size, parts


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (None, "Keeps does not keep its argument size"),
        ([print], "cannot use a builtin_function_or_method here"),
    ],
)
def test_what_a_configuration_cannot_hold_is_named(parts, words, monkeypatch):
    monkeypatch.setitem(NETWORKS._items, "keeps", Keeps)
    with pytest.raises(ConfigError, match=words):
        to_config(NETWORKS, Keeps(1, 1, parts=parts))


class Options(TypedDict, total=False):
    """Of a function that takes them by ``Unpack``."""

    side: Annotated[int, Range(1, 9)]


class Forwards(networks.PixelCNN):
    def __init__(self, channels, out, **more):
        super().__init__(channels, out, **more)


def test_arguments_without_names_are_no_configuration(monkeypatch):
    monkeypatch.setitem(NETWORKS._items, "forwards", Forwards)
    with pytest.raises(ConfigError, match=r"Forwards takes \*\*more, and") as caught:
        to_config(NETWORKS, Forwards(1, 1, width=4))
    assert caught.value.hint.startswith("name each of them")


@gated
def area(name: str = "", **options: Unpack[Options]) -> tuple[str, int]:
    return name, options.get("side", 1) ** 2


def test_unpacked_options_are_parameters_of_their_own():
    assert list(config.arguments(area)) == ["name", "side"]
    assert area("a", side=np.int64(3)) == ("a", 9)
    with pytest.raises(ConfigError, match="side must be an integer from 1 to 9, got 10"):
        area(side=10)
    with pytest.raises(ConfigError, match=r"no option called 'sides'\. Did you mean 'side'"):
        area(sides=3)
