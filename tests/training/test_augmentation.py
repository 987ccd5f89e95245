"""Training images are augmented as a function of (seed, epoch, image), and a network may be told how."""

import dataclasses
import json

import numpy as np
import pytest
import torch

import pixelcnn as px
from pixelcnn import checkpoint
from pixelcnn.data import ImageSet, tags
from pixelcnn.data.augmentation import Augmentation
from pixelcnn.errors import ConfigError, ModelError
from pixelcnn.scoring import condition_of
from pixelcnn.training import fit
from pixelcnn.training.batches import Batches
from pixelcnn.training.recipe import Recipe
from pixelcnn.training.record import training_record
from pixelcnn.training.train import train_recipe
from training.test_processes import EXACT, assert_close
from training.trainings import QUICK, assert_same_end, digits, killed_at, train

ALL = ["flip", "flip-vertical", "shift 1", "rotate"]
SHAPE = (1, 5, 5)


def images(n=10, **values):
    return ImageSet(torch.arange(n * 25).reshape(n, *SHAPE), levels=n * 25, **values)


def augmented(data, names=ALL, **arguments):
    return Batches(
        data, 4, seed=3, augmentation=Augmentation(tuple(names), data.shape), **arguments
    )


def of_epoch(batches, epoch):
    """Levels of every image in an epoch, in the order of the images."""
    steps = [batches[epoch * batches.steps_per_epoch + s] for s in range(batches.steps_per_epoch)]
    place = np.argsort(np.concatenate([batch.indices for batch in steps]))
    return torch.cat([batch.levels for batch in steps])[place]


def test_other_transformations_each_epoch_whatever_the_batches():
    one, other = augmented(images()), augmented(images())
    other.batch_size, other.steps_per_epoch = 3, 4
    assert torch.equal(of_epoch(one, 1), of_epoch(other, 1))
    assert not torch.equal(of_epoch(one, 0), of_epoch(one, 1))
    augmentation = one.augmentation
    numbers = augmentation.draw(3, 1, torch.arange(10))
    assert torch.equal(of_epoch(one, 1), augmentation.apply(images().images, numbers))


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_transform_the_images_of_a_step_as_one_does(processes):
    whole = augmented(images())
    parts = [augmented(images(), rank=r, processes=processes) for r in range(processes)]
    for step in range(4):
        expected = dict(zip(whole[step].indices.tolist(), whole[step].levels, strict=True))
        for batch in (part[step] for part in parts):
            for index, levels in zip(batch.indices.tolist(), batch.levels, strict=True):
                assert torch.equal(levels, expected[index])


def test_coins_are_tossed_for_the_transformed_grey_values():
    grey = ImageSet(
        torch.arange(250).reshape(10, *SHAPE) % 17, levels=2, grey_levels=17, binarisation="dynamic"
    )
    batches = augmented(grey)
    turned = batches.augmentation.apply(
        grey.images, batches.augmentation.draw(3, 2, torch.arange(10))
    )
    expected = dataclasses.replace(grey, images=turned).levels_at(slice(None), 3, 2)
    assert torch.equal(of_epoch(batches, 2), expected)


def test_maps_turn_with_their_images_and_labels_stay():
    batch = augmented(images(), condition=images().images.float())[0]
    assert torch.equal(batch.condition, batch.levels.float())
    assert augmented(images(), condition=torch.arange(10))[0].condition.tolist() == list(
        augmented(images())[0].indices
    )


@pytest.mark.parametrize("kind", [None, "label"])
def test_the_tag_says_how_an_image_was_transformed(kind):
    data = images(labels=torch.arange(10) % 3)
    model = px.create_model(
        "pixelcnn", data, tags=["rotate"], condition=kind, width=4, depth=1, output="categorical"
    )
    known = tags.of(model)
    assert known == tags.Tags(kind, 3 if kind else 0, 4)
    batches = augmented(data, ["rotate"], condition=condition_of(model, data), tagged=known)
    for step in range(3):
        batch = batches[step]
        classes = max(known.size, 1)
        undone = batches.augmentation.apply(data.images[batch.indices], batch.condition // classes)
        assert torch.equal(undone, batch.levels)
        if kind:
            assert (batch.condition % 3).tolist() == (batch.indices % 3).tolist()


def asymmetric(n, seed):
    """Binary images whose left half is mostly white and whose right half is mostly black."""
    chance = torch.tensor([0.9, 0.9, 0.5, 0.1, 0.1]).expand(n, 1, 3, 5)
    drawn = torch.bernoulli(chance, generator=torch.Generator().manual_seed(seed))
    return ImageSet(drawn.to(torch.uint8), levels=2, name="asymmetric")


@pytest.mark.parametrize("tagged", [True, False])
def test_a_network_that_is_told_keeps_images_as_they_are_apart(tagged):
    train_set, val = asymmetric(1024, 0), asymmetric(256, 1)
    told = ["flip"] if tagged else []
    model = px.create_model("made", train_set, width=32, depth=1, tags=told)
    options = {"epochs": 8, "batch_size": 64, "learning_rate": 2e-2, "verbose": False}
    fit(model, train_set, val, augment=["flip"], augment_tag=tagged, **options)
    found = px.evaluate(model, val)
    mirrored = float(px.score(model, val.images.flip(3)).mean())
    assert found.augmentation == ("flip (tagged)" if tagged else "flip")
    if tagged:
        assert found.nats < mirrored - 5
        assert torch.equal(px.sample(model, 3), px.sample(model, 3, condition=[0, 0, 0]))
        assert not torch.equal(px.sample(model, 9), px.sample(model, 9, condition=1))
    else:
        assert found.nats == pytest.approx(mirrored, abs=0.5)


@pytest.mark.parametrize("kind", ["vector", "map"])
def test_networks_of_vectors_or_maps_are_told_of_nothing(kind):
    given = torch.zeros(10, 2) if kind == "vector" else torch.zeros(10, 2, 5, 5)
    data = images(condition=given)
    with pytest.raises(ConfigError, match=f"given {kind}s cannot be told") as caught:
        px.create_model("pixelcnn", data, condition=kind, tags=["flip"], width=4, depth=1)
    assert "augment_tag" in caught.value.hint


def test_a_model_that_is_not_told_of_these_is_refused():
    data = images()
    untold = px.create_model("pixelcnn", data, width=4, depth=1)
    flips = px.create_model("pixelcnn", data, width=4, depth=1, tags=["flip"])
    options = {"augment": ["rotate"], "augment_tag": True, "verbose": False}
    with pytest.raises(ConfigError, match="told of rotate, this one is told of nothing"):
        fit(untold, data, data, **options)
    with pytest.raises(ConfigError, match="told of rotate, this one is told of flip"):
        fit(flips, data, data, **options)
    with pytest.raises(ConfigError, match="augment_tag cannot be True"):
        fit(untold, data, data, augment_tag=True)
    with pytest.raises(ConfigError, match="out of sight"):
        fit(untold, data, data, augment="shift 5")


def test_tags_are_no_condition_that_a_notebook_shows():
    model = px.create_model("pixelcnn", images(), width=4, depth=1, tags=["flip"])
    assert "<th>condition</th><td>none</td>" in model._repr_html_()


def test_tags_that_the_network_cannot_tell_are_refused():
    model = px.create_model("pixelcnn", images(), width=4, depth=1, tags=["flip"])
    model.record = {"tags": {"count": 3}}
    with pytest.raises(ModelError, match="counts 3 transformations"):
        px.sample(model, 1)


def test_a_training_that_was_killed_ends_where_the_other_one_ends(tmp_path):
    options = {"epochs": 3, "checkpoint_every": "0s", "augment": ALL}
    train(tmp_path / "whole", **options)
    with killed_at(6):
        train(tmp_path / "run", **options)
    with pytest.raises(ConfigError, match=r"training\.augment"):
        train(tmp_path / "run", resume=True, **options | {"augment": ["flip"]})
    train(tmp_path / "run", resume=True, **options)
    assert_same_end(tmp_path / "run", tmp_path / "whole")
    assert "augmented: flip, flip-vertical, shift 1, rotate; 72 ways\n" in (
        (tmp_path / "run" / "train.log").read_text()
    )


@pytest.mark.slow
def test_two_processes_train_on_augmented_images_as_one_would(nursery, tmp_path):
    for size in (1, 2):
        nursery.finish(tmp_path / str(size), size=size, augment=ALL, **EXACT)
    assert_close(tmp_path / "1", tmp_path / "2")


RECIPE = Recipe(
    name="told",
    data={"name": "digits", "levels": 2},
    network={"name": "pixelcnn", "width": 4, "depth": 1},
    output={"name": "bernoulli"},
    training={"epochs": 1, "batch_size": 512, "augment": ["shift 1"], "augment_tag": True}
    | {"sample_count": 1},
)


@pytest.mark.parametrize("kind", [None, "label"])
def test_a_recipe_builds_and_goes_on_with_a_network_that_is_told(kind, tmp_path):
    network = RECIPE.network | ({"condition": kind} if kind else {})
    recipe = dataclasses.replace(RECIPE, network=network)
    train_recipe(recipe, tmp_path / "run", verbose=False)
    train_recipe(
        None, tmp_path / "run", overrides=["training.epochs=2"], resume=True, verbose=False
    )
    model = checkpoint.load(tmp_path / "run")
    assert model.network.condition_size == (90 if kind else 9)
    assert tags.of(model) == tags.Tags(kind, 10 if kind else 0, 9)
    assert model.record["augmentation"] == "shift 1 (tagged)"
    assert px.sample(model, 1, condition=3 if kind else None).shape == (1, 1, 8, 8)


def test_a_run_on_other_labels_is_not_gone_on_with(tmp_path):
    train_set, val = digits()
    other = dataclasses.replace(train_set, labels=train_set.labels.flip(0))
    model = px.create_model("pixelcnn", train_set, width=4, depth=1, condition="label")
    fit(model, train_set, val, tmp_path / "run", verbose=False, epochs=1, **QUICK)
    content = tmp_path / "run" / "content.json"
    again = {"resume": True, "verbose": False, "epochs": 2}
    with pytest.raises(ConfigError, match="other labels or conditions of the training images"):
        fit(model, other, val, tmp_path / "run", **again, **QUICK)
    older = {key: value for key, value in json.loads(content.read_text()).items() if "_" not in key}
    content.write_text(json.dumps(older))
    fit(model, other, val, tmp_path / "run", **again, **QUICK)


def test_labels_that_a_model_is_not_given_may_change():
    train_set, val = digits()
    other = dataclasses.replace(train_set, labels=train_set.labels.flip(0))
    model = px.create_model("pixelcnn", train_set, width=4, depth=1)
    options = px.TrainingOptions()
    one, two = (training_record(model, data, val, options) for data in (train_set, other))
    assert one["content_hash"] == two["content_hash"]
    assert list(one["content_hash"]) == ["train", "val"]
