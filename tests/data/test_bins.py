"""Bins: levels of measured values, and values of levels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelcnn.data import Bins
from pixelcnn.data import bins as module
from pixelcnn.data.bins import RULES, found_bins
from pixelcnn.errors import ConfigError, DataError

NUMBERS = st.floats(-1e300, 1e300, allow_nan=False)
EDGES = st.lists(NUMBERS, min_size=3, max_size=40, unique=True).map(sorted)
FEW = settings(max_examples=60)


@FEW
@given(EDGES)
def test_the_value_of_every_level_lies_in_its_bin(edges):
    bins = Bins(tuple(edges))
    levels = torch.arange(bins.levels)
    assert torch.equal(bins.levels_of(bins.values_of(levels)).long(), levels)


@FEW
@given(NUMBERS, NUMBERS, st.integers(2, 300))
def test_the_value_of_every_level_of_a_range_lies_in_its_bin(first, second, levels):
    try:
        bins = Bins.between(min(first, second), max(first, second), levels)
    except ConfigError:
        return
    every = torch.arange(levels)
    assert torch.equal(bins.levels_of(bins.values_of(every)).long(), every)


@FEW
@given(EDGES, st.sampled_from([None, False, True]))
def test_a_record_gives_the_same_bins(edges, real):
    bins = Bins(tuple(edges), real=real)
    again = Bins.of_record({"bins": bins.as_record()})
    assert (again, again.real, again.describe()) == (bins, real, bins.describe())


def test_a_record_of_a_range_is_its_ends():
    bins = Bins.between(-0.1, 1 / 3, 1000)
    assert bins.as_record() == {"edges": [-0.1, 1 / 3], "levels": 1000}
    assert Bins.of_record({"bins": bins.as_record()}) == bins
    assert Bins.of_record({}) is None


def test_a_bin_ends_before_the_next_one_and_the_last_includes_its_end():
    bins = Bins((0, 1, 2, 4))
    values = [-math.inf, -1, 0, np.nextafter(1, 0), 1, 2, 4, 5, math.inf]
    assert bins.levels_of(values).tolist() == [0, 0, 0, 0, 1, 2, 2, 2, 2]
    assert int(bins.outside(torch.tensor(values)[:, None]).sum()) == 4


@pytest.mark.parametrize("levels", [2, 5, 256, 257, 65_536])
def test_bins_of_a_range_are_as_wide_as_each_other(levels):
    bins = Bins.between(-3, 7, levels)
    assert np.allclose(np.diff(bins.edges), 10 / levels, rtol=1e-9)
    assert bins.log_widths.tolist() == [math.log(10 / levels)] * levels
    assert bins.levels_of(torch.linspace(-3, 7, 50)).dtype is (
        torch.uint8 if levels <= 256 else torch.int32
    )


def test_whole_numbers_in_bins_of_one_are_the_levels_themselves():
    counts = torch.arange(1000)
    assert torch.equal(Bins.between(0, 1000, 1000).levels_of(counts).long(), counts)


def test_values_are_float32_unless_bins_are_finer():
    assert Bins.between(0, 1, 256).values_of([0]).dtype is torch.float32
    assert Bins.between(1e9, 1e9 + 1, 256).values_of([0]).dtype is torch.float64


@pytest.mark.parametrize("levels", [[-1], [2], [0.5], "x"])
def test_levels_that_there_are_not_have_no_value(levels):
    with pytest.raises(DataError):
        Bins((0, 1, 2)).values_of(levels)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([1, 2], "2 edges make 1 bins"),
        ([0, 1, 1], "ascend, but 1 follows 1"),
        ([0, 2, 1], "ascend, but 1 follows 2"),
        ([0, 1, math.nan], "numbers within"),
        ([0, 1, math.inf], "numbers within"),
        (range(65_538), "not 2 to 65536"),
    ],
)
def test_what_makes_no_bins_is_refused(edges, message):
    with pytest.raises(ConfigError, match=message):
        Bins(tuple(edges))


def test_a_range_goes_upwards_and_has_room():
    with pytest.raises(ConfigError, match="upwards, got 1 to 0"):
        Bins.between(1, 0)
    with pytest.raises(ConfigError, match="ascend") as caught:
        Bins.between(1, np.nextafter(1, 2), 3)
    assert "fewer levels" in caught.value.hint


def test_what_is_no_number_lies_in_no_bin():
    bins = Bins((0, 1, 3))
    assert bins.levels_of([-math.inf, 2, math.inf]).tolist() == [0, 1, 1]
    with pytest.raises(DataError, match="NaN lies in no bin"):
        bins.levels_of([0.5, math.nan])


def test_different_bins_have_different_words():
    several = [
        Bins((0, 1, 2)), Bins((0, 1.0000000001, 2)), Bins.between(0, 2, 2), Bins.between(0, 2, 3),
        Bins.between(0, 2.0000000001, 2),
    ]  # fmt: skip
    assert len({bins.describe() for bins in several}) == len(several)


@pytest.mark.parametrize("levels", [2, 7, 50])
def test_quantiles_hold_equally_many_values(levels):
    values = torch.from_numpy(np.random.default_rng(0).lognormal(size=(10, 1, 10, 10)))
    bins = found_bins("quantiles", values, levels, "some")
    counts = torch.bincount(bins.levels_of(values).flatten())
    assert len(counts) == levels
    assert counts.max() - counts.min() <= 1
    assert (bins.edges[0], bins.edges[-1]) == (float(values.min()), float(values.max()))


@FEW
@given(st.lists(st.integers(0, 9), min_size=2, max_size=60), st.integers(2, 12))
def test_quantiles_of_repeated_values_leave_no_bin_empty_and_split_no_value(values, levels):
    images = torch.tensor(values)[:, None, None, None]
    if len({*values}) < 2:
        return
    bins = found_bins("quantiles", images, levels, "some")
    found = bins.levels_of(images).flatten()
    assert sorted({*found.tolist()}) == list(range(bins.levels))
    assert (torch.bincount(found) > 0).all()


def test_fewer_bins_than_asked_for_are_told_of(caplog):
    assert found_bins("quantiles", torch.tensor([0.0, 1.0] * 9), 64, "mask").edges == (0, 0.5, 1)
    assert "mask: 2 bins of the 64 asked for, since values repeat" in caplog.text


@pytest.mark.parametrize("rule", RULES)
def test_one_value_makes_no_bins(rule):
    with pytest.raises(DataError, match=r"flat: all values are 3\.5, which 8 bins"):
        found_bins(rule, torch.full((4, 1, 3, 3), 3.5), 8, "flat")


def test_values_that_differ_in_few_places_that_no_sample_has_make_no_quantiles(monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", 100)
    values = torch.zeros(100, 1, 3, 3)
    values[1, 0, 0, 0] = 1
    with pytest.raises(DataError, match="sparse: 2 edges make 1 bins"):
        found_bins("quantiles", values, 8, "sparse")


@pytest.mark.parametrize("rule", RULES)
def test_pieces_of_the_values_make_the_same_bins(monkeypatch, rule):
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(11, 1, 3, 5)))
    once = found_bins(rule, values, 9, "some")
    monkeypatch.setattr("pixelcnn.data.lazy.PIECE", 200)
    assert found_bins(rule, values, 9, "some") == once


def test_a_sample_of_many_values_is_spread_over_all_places(monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", 100)
    monkeypatch.setattr("pixelcnn.data.lazy.PIECE", 7 * 8 * 60)
    columns = torch.arange(60.0, dtype=torch.float64).expand(50, 1, 1, 60)
    sample = module._spread(columns)
    assert len(sample) <= 100
    assert np.unique(sample).size > 45
    assert found_bins("quantiles", columns, 4, "some").edges[0] == 0
