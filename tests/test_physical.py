"""Levels as measured values, and likelihoods in the units of these."""

import math

import numpy as np
import pytest
import torch

import pixelcnn as px
from pixelcnn import data, networks, outputs, physical, record, scoring
from pixelcnn.data import Bins
from pixelcnn.errors import DataError, ModelError
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.record import training_record

MAPS = np.random.default_rng(0).lognormal(size=(20, 5, 5))
RULES = ("range", "quantiles", [0.01, 40.0], [0, 0.3, 1, 2.5, 90])


def model_of(levels, bins=None):
    output = outputs.Categorical(levels=levels)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = networks.PixelCNN(1, output.parameters_per_pixel(1), width=6, depth=1)
    model = px.PixelModel(network, output, (1, 5, 5))
    if bins is not None:
        model.record["bins"] = bins.as_record()
    return model


@pytest.fixture
def loaded(tmp_path):
    """Loads maps in units that are ``factor`` times as small."""

    def load(rule, factor=1):
        np.save(tmp_path / "maps.npy", MAPS * factor)
        edges = isinstance(rule, list)
        quantise = [each * factor for each in rule] if edges else rule
        levels = {} if edges and len(rule) > 2 else {"levels": 4}
        return data.load(
            tmp_path / "maps.npy", test=tmp_path / "maps.npy", quantise=quantise, **levels
        ).test

    return load


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("factor", [4.0, 1 / 1024])
def test_larger_units_shift_the_density_by_the_logarithm_of_their_ratio(loaded, rule, factor):
    rows = torch.from_numpy(MAPS)[:, None]
    bins = loaded(rule).bins
    scaled = Bins(tuple(edge * factor for edge in bins.edges), equal=bins.equal)
    plain = data.ImageSet(bins.levels_of(rows), 4, bins=bins)
    other = data.ImageSet(scaled.levels_of(rows * factor), 4, bins=scaled)
    model = model_of(4)
    one, two = scoring.evaluate(model, plain), scoring.evaluate(model, other)
    assert two.nats == one.nats
    shift = two.nats_density - one.nats_density
    assert shift == pytest.approx(25 * math.log(factor), abs=1e-12)


@pytest.mark.parametrize("rule", RULES[2:])
def test_the_way_through_files_shifts_it_alike(loaded, rule):
    model = model_of(4)
    one, two = (scoring.evaluate(model, loaded(rule, factor)) for factor in (1, 8.0))
    assert two.nats_density - one.nats_density == pytest.approx(25 * math.log(8), abs=1e-12)


def test_the_density_is_the_probability_over_the_volume(loaded):
    images = loaded([0, 0.3, 1, 2.5, 90])
    model = model_of(4, images.bins)
    nats = px.score(model, images.images)
    widths = np.array([0.3, 0.7, 1.5, 87.5])[images.images.numpy()]
    expected = nats.numpy() + np.log(widths).sum((1, 2, 3))
    assert np.allclose(physical.density(model, images, nats), expected, rtol=0, atol=1e-12)
    without = data.ImageSet(images.images[:], 4)
    assert torch.equal(
        physical.density(model, without, nats), physical.density(model, images, nats)
    )


def test_integer_levels_have_no_density():
    model = model_of(17)
    images = data.ImageSet(torch.zeros(3, 1, 5, 5, dtype=torch.uint8), 17)
    score = scoring.evaluate(model, images)
    assert score.nats_density is None
    assert score.as_json()["nats_per_image_density"] is None


def test_samples_have_values_that_are_quantised_to_their_levels():
    bins = Bins((-10, -1, 0, 5, 100))
    model = model_of(4, bins)
    levels = px.sample(model, 5)
    values = px.values(model, levels)
    assert (values.shape, values.dtype) == (levels.shape, torch.float32)
    assert torch.equal(bins.levels_of(values), levels)


def test_levels_of_integers_stand_for_nothing_else():
    with pytest.raises(ModelError, match="integers from the start"):
        px.values(model_of(4), [0])
    with pytest.raises(DataError, match=r"0\.\.3, got 4\.\.4"):
        px.values(model_of(4, Bins((-10, -1, 0, 5, 100))), [4])


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({"edges": [0, 1], "levels": 5}, "this model has 4 levels, its record 5 bins"),
        ({"edges": [0, 1, 2, 2, 3], "levels": 4}, "edges of bins ascend, but 2 follows 2"),
        ({"edges": [0, 1, 2], "levels": 4}, "3 edges make 2 levels, but levels = 4"),
        ({"edges": [1, 1], "levels": 4}, "goes upwards, got 1 to 1"),
        ({"edges": [], "levels": 4}, "0 edges make 0 bins"),
    ],
)
def test_a_record_of_other_bins_is_refused(stored, said):
    model = model_of(4)
    model.record = record.checked({"bins": stored})
    with pytest.raises(ModelError, match=said):
        physical.bins_of(model)


@pytest.mark.parametrize(
    "stored",
    [
        5,
        {"edges": [0, 1]},
        {"edges": [1, 0], "levels": 4},
        {"edges": [0, float("inf")], "levels": 4},
        {"edges": ["0", 1], "levels": 4},
        {"edges": [0, 1], "levels": 1},
        {"edges": [0, 1], "levels": 4, "real": 1},
    ],
)
def test_a_record_of_no_bins_is_refused_when_it_is_read(stored):
    with pytest.raises(ModelError, match=r"record\.bins"):
        record.checked({"bins": stored})


@pytest.mark.parametrize("rule", RULES)
def test_the_record_of_a_training_brings_other_data_to_the_same_levels(loaded, tmp_path, rule):
    images = loaded(rule)
    model = model_of(4)
    made = training_record(model, images, images, TrainingOptions(), data={"quantise": rule})
    model.record = record.as_json(made)
    again = data.load_all(tmp_path / "maps.npy", **physical.coding(model))
    assert torch.equal(again.images[:], images.images[:])
    assert scoring.evaluate(model, again).as_trained
    assert model.record["data"]["quantise"] == rule


def test_a_training_on_levels_of_a_model_leaves_what_they_stand_for(loaded):
    parts, once = loaded("range"), {"epochs": 1, "calibration_images": 0, "verbose": False}
    model = model_of(4)
    px.fit(model, parts, parts, **once)
    px.fit(model, parts.images.numpy(), **once)
    assert physical.bins_of(model) == parts.bins
    assert px.evaluate(model, MAPS).nats_density == px.evaluate(model, parts).nats_density


@pytest.mark.parametrize("coding", [{"levels": 4}, {"threshold": 0.25}])
def test_a_training_on_levels_of_a_model_leaves_how_they_came_about(coding, caplog):
    parts, once = data.load("digits", **coding), {"epochs": 1, "calibration_images": 0}
    model = px.create_model("pixelcnn", parts, seed=0, width=4, depth=1)
    px.fit(model, parts.val, parts.val, verbose=False, **once)
    px.fit(model, parts.val.images.numpy(), parts.val, verbose=False, **once)
    other = scoring.score(model, data.load_all("digits").images.numpy(), source_levels=17)
    assert torch.equal(other, scoring.score(model, data.load_all("digits", **coding)))
    assert torch.equal(other, scoring.score(model, "digits"))
    assert "do not compare" not in caplog.text


def test_other_bins_than_in_training_are_told_of(loaded, caplog):
    images = loaded([0, 0.3, 1, 2.5, 90])
    model = model_of(4)
    model.record = training_record(model, images, images, TrainingOptions())
    other = loaded([0, 0.3, 1, 2.5000001, 90])
    assert scoring.evaluate(model, other).as_trained is False
    assert "its likelihoods do not compare" in caplog.text
