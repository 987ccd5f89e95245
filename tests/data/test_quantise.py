"""Equal bins, thresholds and levels of a source."""

import logging

import numpy as np
import pytest
import torch

from pixelcnn import data
from pixelcnn.data import ImageSet
from pixelcnn.data.quantise import check_guess, coded, equal_bins, look_up, threshold_table
from pixelcnn.data.reading import Reading
from pixelcnn.errors import ConfigError, DataError

RAMP = ImageSet(
    torch.arange(256, dtype=torch.uint8).repeat(8).reshape(2, 1, 32, 32), 256, name="ramp"
)


@pytest.mark.parametrize("levels", [2, 4, 8, 16, 128, 256])
def test_every_level_gets_equally_many_values(levels):
    assert np.bincount(equal_bins(256, levels)).tolist() == [256 // levels] * levels


@pytest.mark.parametrize(
    ("source", "levels"), [(256, 3), (256, 17), (17, 5), (65_536, 256), (1000, 7)]
)
def test_bins_differ_by_one_value_at_most_and_keep_the_order(source, levels):
    table = equal_bins(source, levels)
    sizes = np.bincount(table)
    assert len(sizes) == levels
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(table) >= 0).all()


@pytest.mark.parametrize("levels", [2, 4, 8, 256])
def test_bins_are_those_of_the_tutorial_on_values_over_256(levels):
    values = np.arange(256)
    tutorial = np.digitize(values / 256, np.arange(levels) / levels) - 1
    assert equal_bins(256, levels).tolist() == tutorial.tolist()


def test_the_threshold_is_that_of_the_tutorials():
    tutorial = np.where(np.arange(256) < (0.33 * 256), 0, 1)
    assert threshold_table(256, 0.33).tolist() == tutorial.tolist()


def test_looking_up_works_across_blocks(monkeypatch):
    monkeypatch.setattr("pixelcnn.data.lazy.PIECE", 24)
    images = torch.arange(10).reshape(10, 1, 1, 1)
    assert look_up(images, np.arange(10)[::-1].copy(), 10).flatten().tolist() == list(
        range(9, -1, -1)
    )


def test_binarisation_and_quantisation_are_named():
    assert coded(RAMP, Reading(threshold=0.33)).binarisation == "threshold 0.33"
    assert coded(RAMP, Reading(binarise="threshold")).binarisation == "threshold 0.5"
    assert coded(RAMP, Reading(levels=2)).binarisation == "threshold 0.5"
    assert coded(RAMP, Reading(binarise="dynamic")).binarisation == "dynamic"
    assert coded(RAMP, Reading(levels=8)).quantisation == "256 -> 8 equal bins"
    assert coded(RAMP, Reading(levels=8)).binarisation == "none"
    assert coded(RAMP, Reading()) is RAMP


def test_two_levels_are_equal_bins_and_a_threshold_of_a_half_at_once():
    for source in (17, 100, 256):
        assert equal_bins(source, 2).tolist() == threshold_table(source, 0.5).tolist()


def test_binary_data_stay_as_given():
    bits = ImageSet(torch.tensor([[[[0, 1]]]]), 2)
    for coding in (
        Reading(),
        Reading(threshold=0.9),
        Reading(binarise="dynamic"),
        Reading(levels=4),
    ):
        fixed = coded(bits, coding)
        assert (fixed.binarisation, fixed.levels, fixed.dynamic) == ("fixed", 2, False)
        assert torch.equal(fixed.images, bits.images)


def test_more_levels_than_the_source_has_are_not_made_up(caplog):
    kept = coded(RAMP, Reading(levels=1024))
    assert (kept.levels, kept.quantisation) == (256, "none")
    assert "1024 cannot be made" in caplog.text
    assert (
        coded(ImageSet(torch.tensor([[[[0, 1]]]]), 2, name="bits"), Reading(levels=4)).levels == 2
    )
    assert "bits has 2 levels, 4 cannot be made" in caplog.text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"levels": 4, "threshold": 0.3}, "threshold binarisation makes 2 levels, but levels = 4"),
        ({"levels": 4, "binarise": "dynamic"}, "dynamic binarisation makes 2 levels"),
        ({"binarise": "dynamic", "threshold": 0.3}, "dynamic binarisation has no threshold"),
        ({"threshold": 33}, "threshold must be a number from 0 to 1 or none, got 33"),
        ({"threshold": 0.0}, "threshold must lie between 0 and 1, got 0"),
        ({"binarise": "static"}, "binarise must be one of 'threshold', 'dynamic'"),
        ({"levels": 1}, "levels must be an integer from 2 to 65536 or none, got 1"),
        ({"levels": 65_537}, "levels must be an integer from 2 to 65536 or none, got 65537"),
        ({"levels": 2.0}, "levels must be an integer from 2 to 65536 or none, got 2.0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        data.load_all("digits", **options)


@pytest.mark.parametrize("said", [{"binarise": "threshold"}, {"threshold": 0.3}])
def test_of_binarisation_the_option_that_was_said_is_to_be_dropped(said):
    with pytest.raises(ConfigError) as caught:
        Reading(levels=4, **said)
    assert caught.value.hint.endswith(f"data.{next(iter(said))}=none")


@pytest.mark.parametrize(("kind", "levels"), [(np.uint8, 256), (np.int64, 256), (">u2", 65_536)])
def test_values_that_may_be_levels_already_are_never_guessed_at(kind, levels):
    check_guess(np.array([0, 17], kind), levels, 17)
    with pytest.raises(
        DataError, match=rf"all values are below 17.*dark ones of {levels}"
    ) as caught:
        check_guess(np.array([0, 16], kind), levels, 17)
    assert f"17 or {levels}, with source_levels" in caught.value.hint


def test_the_log_says_what_dark_values_are_taken_for(caplog):
    caplog.set_level(logging.INFO)
    check_guess(np.array([0, 128], np.uint8), 256, None)
    check_guess(np.array([False]), 2, 8)
    assert not caplog.text
    check_guess(np.array([0, 127], np.uint8), 256, None)
    assert "uint8 values are taken for 256 levels, though none is above 127" in caplog.text
