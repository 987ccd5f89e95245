"""New models for some images: what the images decide is wired, and the seed decides the weights."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import pixelcnn as px
import tiny
from pixelcnn import budget, building, config, outputs
from pixelcnn.data import ImageSet, Splits
from pixelcnn.errors import ConfigError, ResourceError, UnknownName
from pixelcnn.networks import NETWORKS
from pixelcnn.training import recipe as recipes

SIZES = {
    k: v for k, v in tiny.SMALL.items() if k not in ("levels", "components", "rows", "columns")
}


def images(channels=1, levels=5, **values):
    drawn = np.random.default_rng(0).integers(0, levels, (6, channels, 5, 7))
    return ImageSet(drawn, levels=levels, name="noise", **values)


def small(name, **arguments):
    """Arguments that make a registered network small."""
    known = config.arguments(NETWORKS[name])
    return {k: v for k, v in (SIZES | arguments).items() if k in known}


def same(one, other):
    """Whether two models have the same weights."""
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(v, w) for (a, v), (b, w) in pairs)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("output", [None, "logistic-mixture"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_wired_to_the_images(name, output, channels):
    data = images(channels)
    model = px.create_model(name, data, output=output, **small(name))
    assert (*model.shape, model.levels) == (channels, 5, 7, 5)
    assert model.log_prob(data.images).shape == (6,)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_weights_are_a_function_of_the_seed_alone(name):
    data, before = images(3), torch.random.get_rng_state()
    first = px.create_model(name, data, seed=1, **small(name))
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        assert same(px.create_model(name, data, seed=1, **small(name)), first)
    assert not same(px.create_model(name, data, seed=2, **small(name)), first)


def test_a_seed_may_be_an_integer_of_numpy():
    built = px.create_model("pixelcnn", images(), seed=np.int64(7), width=6)
    assert same(built, px.create_model("pixelcnn", images(), seed=7, width=6))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_weights_are_those_of_the_same_seed_in_pytorch(name):
    """What models were trained from before they had a generator of their own."""
    model = px.create_model(name, images(), seed=7, **small(name))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        assert same(px.PixelModel.from_config(model.config()), model)


def test_models_built_in_two_threads_are_those_built_alone():
    data, together = images(), threading.Barrier(2, timeout=30)

    def build(seed):
        together.wait()
        return [px.create_model("gated-pixelcnn", data, seed=seed, width=6) for _ in range(5)]

    with ThreadPoolExecutor(2) as threads:
        built = list(threads.map(build, (0, 1)))
    for seed, models in enumerate(built):
        alone = px.create_model("gated-pixelcnn", data, seed=seed, width=6)
        assert all(same(model, alone) for model in models)


def test_the_weights_lie_on_the_processor_whatever_the_default_device_is():
    with torch.device("meta"):
        model = px.create_model("pixelcnn", images(), width=6)
    assert model.device.type == "cpu"


@pytest.mark.parametrize(
    ("output", "levels", "expected"),
    [
        (None, 2, outputs.Bernoulli()),
        (None, 5, outputs.Categorical(levels=5)),
        ("categorical", 2, outputs.Categorical(levels=2)),
        ({"name": "logistic-mixture", "components": 3}, 5, outputs.LogisticMixture(levels=5, components=3)),
        (outputs.LogisticMixture(levels=5, components=2), 5, outputs.LogisticMixture(levels=5, components=2)),
    ],
)  # fmt: skip
def test_an_output_is_a_name_a_table_or_an_object(output, levels, expected):
    model = px.create_model("pixelcnn", images(levels=levels), output=output, width=6)
    assert model.output == expected


@pytest.mark.parametrize(
    "output", [outputs.Bernoulli(), "bernoulli", {"name": "categorical", "levels": 4}]
)
def test_an_output_for_other_levels_is_refused(output):
    with pytest.raises(ConfigError, match="levels"):
        px.create_model("pixelcnn", images(), output=output)


def test_an_embedding_takes_the_codes_of_the_images():
    model = px.create_model("pixelcnn", images(), width=6, embedding=4)
    assert model.network.codes == 5


@pytest.mark.parametrize(
    ("kind", "values", "size"),
    [
        ("label", {"labels": torch.arange(6) % 3}, 3),
        ("vector", {"condition": torch.zeros(6, 4)}, 4),
        ("map", {"condition": torch.zeros(6, 2, 5, 7)}, 2),
    ],
)
def test_a_condition_takes_its_size_from_the_images(kind, values, size):
    model = px.create_model("pixelcnn", images(**values), width=6, condition=kind)
    assert (model.network.condition, model.network.condition_size) == (kind, size)


@pytest.mark.parametrize("kind", [None, "label", "vector"])
def test_a_condition_that_was_named_is_never_dropped_in_silence(kind, caplog):
    given = {
        "labels": np.arange(6),
        "condition": np.ones((6, 2)),
        "condition_names": ("mass", "age"),
    }
    px.create_model("pixelcnn", images(**given), **small("pixelcnn"), condition=kind)
    assert ("the network is not told mass, age" in caplog.text) == (kind != "vector")


def test_splits_stand_for_what_is_trained_on():
    whole = images(labels=torch.arange(6))
    splits = Splits(whole, whole[:2], whole[:1])
    model = px.create_model("pixelcnn", splits, width=6, condition="label")
    assert model.network.condition_size == 6


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("gated-pixelcn", {}, "Did you mean 'gated-pixelcnn'?"),
        ("pixelcnn", {"widht": 6}, "Did you mean 'width'?"),
        ("pixelcnn", {"channels": 3}, "channels follows from the images"),
        ("pixelcnn", {"order": "pixel"}, "order follows from the images"),
        ("pixelcnn", {"condition": "label"}, "noise has no labels"),
        ("pixelcnn", {"condition": "labels"}, "condition must be one of 'label'"),
        ("pixelcnn", {"seed": -1}, "seed must be an integer from 0"),
        ("pixelcnn", {"output": "bernouli"}, "Did you mean 'bernoulli'?"),
    ],
)
def test_what_cannot_be_built_is_explained(name, arguments, said):
    with pytest.raises((ConfigError, UnknownName)) as caught:
        px.create_model(name, images(), **arguments)
    assert said in str(caught.value)


def test_a_recipe_builds_by_name_by_file_and_as_an_object(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    data, recipe = images(levels=17), recipes.get("digits")
    path = tmp_path / "mine.toml"
    path.write_text(recipe.dumps())
    by_name = px.PixelModel.from_recipe("digits", data, seed=3)
    for file in (path, "~/mine.toml"):
        assert same(px.PixelModel.from_recipe(file, Splits(data, data, data), seed=3), by_name)
    assert same(px.PixelModel.from_recipe(recipe, data, seed=3), by_name)
    assert same(recipe.with_overrides(["training.seed=3"]).build(data)[0], by_name)
    assert not same(px.PixelModel.from_recipe("digits", data), by_name)


def test_a_recipe_is_built_for_a_set_of_images():
    with pytest.raises(ConfigError, match="train must be an ImageSet, got 'photos/'") as caught:
        px.PixelModel.from_recipe("digits", "photos/")
    assert "data.load" in caught.value.hint


def test_what_differs_from_the_recipe_is_logged(caplog):
    px.PixelModel.from_recipe("keras-mnist", images())
    assert caplog.messages == [
        "recipe keras-mnist: 5 levels: a categorical output instead of a Bernoulli"
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_memory_cannot_hold_in_training_is_refused_before_it_is_built(name, monkeypatch):
    data = images(3)
    built = px.create_model(name, data, **small(name))
    needed = building.BYTES * sum(each.numel() for each in built.parameters())
    monkeypatch.setattr(building, "FEW", 0)
    monkeypatch.setattr(budget, "FEW_NUMBERS", 0)
    monkeypatch.setattr(building.memory, "available", lambda: needed)
    assert same(px.create_model(name, data, **small(name)), built)
    monkeypatch.setattr(building.memory, "available", lambda: needed - 1)
    monkeypatch.setattr(building, "PixelModel", None)
    with pytest.raises(ResourceError, match="too large to be trained in the"):
        px.create_model(name, data, **small(name))


def test_any_source_of_images_says_what_a_model_is_for():
    levels = np.zeros((4, 3, 5, 7), np.uint8)
    model = px.create_model("pixelcnn", levels, width=6, depth=1)
    assert (tuple(model.shape), model.levels) == ((3, 5, 7), 256)
    with pytest.raises(px.PixelCNNError):
        px.create_model("pixelcnn", None)
