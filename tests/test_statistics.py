"""Vectors and maps: their statistics are computed, kept in the file, and applied once."""

import dataclasses
import json
import logging

import numpy as np
import pytest
import torch
from torch import nn

import pixelcnn as px
from forgery import forged
from pixelcnn import networks, outputs, sampling
from pixelcnn.conditioning import condition_of
from pixelcnn.data import ImageSet
from pixelcnn.errors import ConfigError, DataError, ModelError
from pixelcnn.statistics import Statistics
from pixelcnn.walk import walk

NAMES = ("mass", "age")
KNOWN = Statistics((1.5e4, 2.0), (3e3, 1.0), (1e4, 0.0), (2e4, 5.0), NAMES)
BITS = torch.randint(2, (4, 1, 5, 7), generator=torch.Generator().manual_seed(0))


def model_of(kind="vector", known=KNOWN):
    torch.manual_seed(0)
    network = networks.GatedPixelCNN(
        1, 1, width=4, depth=1, first_kernel=3, condition=kind, condition_size=2
    )
    model = px.PixelModel(network.double(), outputs.Bernoulli(), (1, 5, 7)).eval()
    model.statistics = known
    return model


def values(kind="vector", n=4):
    """Standardised."""
    axes = (2,) if kind == "vector" else (2, 5, 7)
    return torch.randn(n, *axes, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", ["vector", "map"])
def test_statistics_are_those_of_numpy_over_images_and_positions(kind):
    given = values(kind, 11) * 5 + 1e9
    found = Statistics.of(given, NAMES)
    axes = (0,) if kind == "vector" else (0, 2, 3)
    for field, expected in (("mean", np.mean), ("std", np.std), ("low", np.min), ("high", np.max)):
        assert np.allclose(getattr(found, field), expected(given.numpy(), axes), rtol=1e-12)
    ready = found.standardised(given, torch.float64)
    assert torch.allclose(ready.mean(axes), torch.zeros(2).double(), atol=1e-6)
    assert torch.allclose(found.physical(ready), given)


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e300])
def test_numbers_of_any_size_have_statistics(size):
    found = Statistics.of(values() * size)
    assert torch.allclose(
        found.standardised(values() * size, torch.float64).std(0, False), torch.ones(2).double()
    )


def test_a_constant_feature_has_a_deviation_of_one():
    found = Statistics.of(torch.full((7, 1), 0.1, dtype=torch.float64))
    assert (found.mean, found.std) == ((0.1,), (1.0,))


@pytest.mark.parametrize("kind", ["vector", "map"])
def test_whatever_takes_a_condition_standardises_it_once(kind):
    plain, known = model_of(kind, None), model_of(kind)
    ready = values(kind)
    raw = KNOWN.physical(ready)
    images = ImageSet(BITS, 2, condition=raw, condition_names=NAMES)
    one, mask = raw[0], torch.ones(1, 1, 5, 7, dtype=torch.bool)
    mask[..., 3:, :] = False
    pairs = {
        "log_prob": [m.log_prob(BITS, c) for m, c in ((plain, ready), (known, raw))],
        "score": [px.score(m, BITS, c) for m, c in ((plain, ready), (known, raw))],
        "score in parts": [px.score(m, BITS, c, batch_size=3) for m, c in ((plain, ready), (known, raw))],
        "sample": [px.sample(m, 4, condition=c) for m, c in ((plain, ready), (known, raw))],
        "one for all": [px.sample(m, 4, condition=c) for m, c in ((plain, ready[0]), (known, one))],
        "complete": [px.complete(m, BITS, mask, condition=c) for m, c in ((plain, ready), (known, raw))],
        "stream": [
            torch.stack([levels for _, levels in sampling.stream(m, 4, condition=c, engine="full")])
            for m, c in ((plain, ready), (known, raw))
        ],
        "walk": [next(walk(m, 4, c)).pmf for m, c in ((plain, ready), (known, raw))],
    }  # fmt: skip
    for name, (expected, found) in pairs.items():
        assert torch.allclose(expected.double(), found.double(), rtol=1e-9), name
    nats = -plain.log_prob(BITS, ready).mean()
    assert np.isclose(px.evaluate(known, images).nats, float(nats.detach()), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vector", "map"])
def test_a_trained_model_keeps_its_promises(kind):
    px.verify.check_model(model_of(kind)).raise_if_failed()


def test_statistics_are_part_of_the_file_and_of_its_fingerprint(tmp_path):
    model = model_of()
    px.save(model, tmp_path / "m.safetensors")
    again = px.load(tmp_path / "m.safetensors")
    assert again.statistics == KNOWN
    raw = KNOWN.physical(values())
    assert torch.equal(again.log_prob(BITS, raw), model.log_prob(BITS, raw))
    px.save(model_of(known=None), tmp_path / "n.safetensors")
    assert px.load(tmp_path / "n.safetensors").statistics is None
    prints = [
        px.checkpoint.describe(tmp_path / f"{name}.safetensors")["fingerprint"] for name in "mn"
    ]
    assert prints[0] != prints[1]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("config.condition", '"mean"'),
        ("config.condition", "{}"),
        ("config.condition.std", "[0, 1]"),
        ("config.condition.std", "[1, -1]"),
        ("config.condition.std", "[1, true]"),
        ("config.condition.mean", "[1]"),
        ("config.condition.mean", '["1", 2]'),
        ("config.condition.mean", f"[1{'0' * 400}, 2]"),
        ("config.condition.low", "[7, 7e9]"),
        ("config.condition.names", '["a", "a"]'),
        ("config.condition.names", '["a"]'),
        ("config.condition.names", '["a", 3]'),
        ("config.condition.more", "3"),
        ("config.condition", json.dumps({k: [1, 2, 3] for k in ("mean", "std", "low", "high", "names")})),
    ],
)  # fmt: skip
def test_statistics_that_are_none_are_refused(tmp_path, key, value):
    source, target = tmp_path / "m.safetensors", tmp_path / "forged.safetensors"
    px.save(model_of(), source)
    forged(source, target, {key: value})
    with pytest.raises(ModelError, match=r"forged\.safetensors: .*condition"):
        px.load(target)


def test_features_go_by_their_names():
    model = model_of()
    vectors = torch.tensor([[1.2e4, 1.0], [1.2e4, 3.0]], dtype=torch.float64)
    found = px.score(model, BITS[:2], {"age": [1.0, 3.0], "mass": 1.2e4})
    assert torch.equal(found, px.score(model, BITS[:2], vectors))
    maps = torch.stack([torch.full((5, 7), 1.2e4), torch.zeros(5, 7)]).double()
    given = {"mass": 1.2e4, "age": np.zeros((5, 7))}
    by_name = px.sample(model_of("map"), 3, condition=given)
    assert torch.equal(by_name, px.sample(model_of("map"), 3, condition=maps))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mass": 1.2e4}, "lacks age"),
        ({"mass": 1.2e4, "aeg": 1}, "nothing called aeg.*'age'"),
        ({"mass": 1.2e4, "age": [1, 2, 3]}, "3.*mass .1e\\+04|is \\(4, 2\\)"),
        ({"mass": "x", "age": 1}, "made of numbers"),
        ([1.2e4, np.nan], "age of image 0"),
        ([1.2e4], "mass .10000 to 20000., age .0 to 5."),
        (None, "mass .10000 to 20000., age .0 to 5."),
    ],
)
def test_errors_name_the_features(given, message):
    with pytest.raises(ConfigError, match=message):
        px.score(model_of(), BITS, given)


def test_data_are_matched_by_the_names_of_their_features(caplog):
    model, raw = model_of(), KNOWN.physical(values())
    turned = ImageSet(BITS, 2, condition=raw.flip(1), condition_names=NAMES[::-1])
    assert torch.equal(condition_of(model, turned), raw)
    more = torch.cat([raw, raw], 1)
    wide = ImageSet(BITS, 2, name="wide", condition=more, condition_names=(*NAMES, "dust", "gas"))
    assert torch.equal(condition_of(model, wide), raw)
    assert "wide: the model is not given dust, gas" in caplog.text
    other = ImageSet(BITS, 2, name="other", condition=raw, condition_names=("mass", "dust"))
    with pytest.raises(ModelError, match="other lacks age"):
        px.evaluate(model, other)


@pytest.mark.parametrize("names", [("mass",), ("mass", "mass")])
def test_a_set_names_each_feature_once(names):
    with pytest.raises(DataError, match=r"mass|names"):
        ImageSet(BITS, 2, condition=values(), condition_names=names)


def test_values_far_outside_the_training_range_are_said_once(caplog):
    caplog.set_level(logging.WARNING)
    px.sample(model_of(), 3, condition=[2.4e4, -1], batch_size=1)
    assert not caplog.records
    px.sample(model_of(), 3, condition=[1.2, 9], batch_size=1)
    (record,) = caplog.records
    assert (
        "mass is 1.2, in training 10000 to 20000; age is 9, in training 0 to 5"
        in record.getMessage()
    )


def test_a_class_without_images_in_training_is_said(caplog):
    network = networks.PixelCNN(1, 1, width=4, depth=1, condition="label", condition_size=4)
    model = px.PixelModel(network, outputs.Bernoulli(), (1, 5, 7))
    model.record["classes_seen"] = [1, 3]
    px.sample(model, 2, condition=[1, 3])
    assert not caplog.records
    px.sample(model, 2, condition=[1, 2])
    assert "no image of class 2 was trained on" in caplog.text


def test_parameters_of_any_size_stay_exact():
    given = torch.tensor([[1e45, 2459000.123456789]] * 4, dtype=torch.float64)
    assert torch.equal(ImageSet(BITS, 2, condition=given).condition, given)


@pytest.mark.parametrize("kind", ["vector", "map"])
def test_a_state_dict_tells_in_which_units_its_weights_are_given_a_condition(kind, tmp_path):
    model, again = model_of(kind), model_of(kind, None)
    torch.save(nn.ModuleDict({"prior": model}).state_dict(), tmp_path / "weights.pt")
    nn.ModuleDict({"prior": again}).load_state_dict(torch.load(tmp_path / "weights.pt"))
    given = KNOWN.physical(values(kind))
    assert again.statistics == KNOWN
    assert torch.equal(again.log_prob(BITS, given), model.log_prob(BITS, given))
    again.load_state_dict(model_of(kind, None).state_dict())
    assert again.statistics is None


def test_a_plain_dictionary_of_weights_leaves_the_units_as_they_are():
    model = model_of()
    model.load_state_dict(dict(model_of(known=None).state_dict().items()))
    assert model.statistics == KNOWN


def test_units_of_another_condition_are_refused_beside_what_else_does_not_fit():
    other, network = model_of(), networks.GatedPixelCNN(1, 1, width=4, depth=1, first_kernel=3)
    plain = px.PixelModel(network.double(), outputs.Bernoulli(), (1, 5, 7))
    with pytest.raises(RuntimeError, match="2 means for 0 features"):
        plain.load_state_dict(other.state_dict(), strict=False)


def framed(values, names):
    return pytest.importorskip("pandas").DataFrame(values.numpy(), columns=names)


def records(values, names):
    """As a structured array of NumPy."""
    return np.array([*map(tuple, values.tolist())], [(name, float) for name in names])


@pytest.mark.parametrize("kind", [framed, records])
def test_the_names_of_columns_decide_not_their_order(kind):
    model, given = model_of(), KNOWN.physical(values())
    expected = model.log_prob(BITS, given)
    assert torch.equal(model.log_prob(BITS, kind(given.flip(1), NAMES[::-1])), expected)
    with pytest.raises(ConfigError, match="nothing called weight"):
        model.log_prob(BITS, kind(given, ("weight", "age")))


def test_a_frame_of_pixels_needs_no_columns_of_what_is_given_beside_it():
    model, given = model_of(), KNOWN.physical(values())
    model.record = {"data": {"name": "stars.csv", "condition": [*NAMES]}}
    pixels = framed(BITS.flatten(1), [f"p{at}" for at in range(35)])
    found = px.score(model, pixels, framed(given, NAMES))
    assert torch.equal(found, px.score(model, BITS, given))


def test_a_row_of_a_data_frame_is_one_condition_for_all():
    model, given = model_of(), KNOWN.physical(values())
    row = framed(given.flip(1), NAMES[::-1]).iloc[2]
    assert torch.equal(model.log_prob(BITS, row), model.log_prob(BITS, given[2]))


def test_a_model_learns_the_names_of_the_columns_of_a_data_frame():
    model, given = model_of(known=None).float(), KNOWN.physical(values())
    images = ImageSet(BITS, 2, condition=framed(given, NAMES))
    px.fit(model, images, images, epochs=1, verbose=False)
    assert model.statistics.names == NAMES
    turned = ImageSet(BITS, 2, condition=framed(given.flip(1), NAMES[::-1]))
    assert px.evaluate(model, turned).nats == px.evaluate(model, images).nats


def test_a_set_with_another_condition_has_the_names_of_that():
    given = KNOWN.physical(values())
    images = ImageSet(BITS, 2, condition=framed(given, NAMES))
    turned = dataclasses.replace(images, condition=framed(given.flip(1), NAMES[::-1]))
    assert turned.condition_names == NAMES[::-1]
    assert torch.equal(turned.condition, images.condition.flip(1))


def test_columns_that_are_numbered_go_by_order():
    model, given = model_of(), KNOWN.physical(values())
    frame = framed(given, range(2))
    assert torch.equal(model.log_prob(BITS, frame), model.log_prob(BITS, given))
