"""Training on vectors and maps in any unit."""

import dataclasses

import pytest
import torch

import pixelcnn as px
from pixelcnn.conditioning import condition_of
from pixelcnn.data import ImageSet
from pixelcnn.errors import ConfigError, ModelError
from pixelcnn.training import checkpoints, fit
from training.trainings import QUICK, assert_same_end, digits, killed_at, model

SCALE, SHIFT = torch.tensor([1e4, 1e-3]).double(), torch.tensor([1.5e4, 7.0]).double()


def described(images: ImageSet, kind: str, physical: bool) -> ImageSet:
    """Digits with their ink and their width, in one unit or another."""
    ink = images.images.double()
    facts = torch.stack([ink.mean((1, 2, 3)), (ink > 4).any(2)[:, 0].double().sum(1)], 1)
    facts = facts * SCALE + SHIFT if physical else facts
    if kind == "map":
        facts = facts[:, :, None, None].expand(-1, -1, 8, 8)
    return dataclasses.replace(images, condition=facts, condition_names=("ink", "width"))


def train(kind="vector", physical=True, run=None, sets=None, net=None, **options):
    sets = sets or [described(part, kind, physical) for part in digits(48, 12)]
    net = net or model(condition=kind, condition_size=2)
    return net, sets, fit(net, *sets, run, verbose=False, **(QUICK | {"epochs": 2} | options))


@pytest.mark.parametrize("kind", ["vector", pytest.param("map", marks=pytest.mark.slow)])
def test_units_change_nothing(kind):
    (one, sets, history), (other, physical, same) = (train(kind, way) for way in (False, True))
    assert same.best == pytest.approx(history.best, rel=1e-5)
    for net, parts, nats in ((one, sets, history.best), (other, physical, same.best)):
        assert px.evaluate(net, parts[1]).nats == pytest.approx(nats, rel=1e-5)
    drawn = [
        px.sample(n, 4, condition=p[1].condition[:4]) for n, p in ((one, sets), (other, physical))
    ]
    assert (drawn[0] != drawn[1]).double().mean() < 0.02  # an uniform number on a boundary
    assert other.statistics.names == ("ink", "width")


def test_a_resumed_training_ends_where_the_whole_one_ends(tmp_path, monkeypatch):
    whole, run = tmp_path / "whole", tmp_path / "run"
    train(run=whole, checkpoint_every="0s")
    with killed_at(2):
        train(run=run, checkpoint_every="0s")
    read, paths = checkpoints.read, []
    monkeypatch.setattr(checkpoints, "read", lambda path: paths.append(path) or read(path))
    train(run=run, resume=True, checkpoint_every="0s")
    assert len(paths) == 1
    assert_same_end(run, whole)
    assert px.load(run).statistics == px.load(whole).statistics


def test_a_training_goes_on_with_its_own_conditions_only(tmp_path):
    train(run=tmp_path / "run")
    with pytest.raises(ConfigError, match="other labels or conditions"):
        train(run=tmp_path / "run", physical=False, resume=True)


def test_a_model_that_is_trained_on_keeps_its_statistics():
    net, sets, _ = train()
    before = net.statistics
    turned = [
        dataclasses.replace(
            s, condition=s.condition.flip(1) + 1, condition_names=s.condition_names[::-1]
        )
        for s in sets
    ]
    train(sets=turned, net=net, epochs=1)
    assert net.statistics == before
    older = model(condition="vector", condition_size=2)
    older.record["steps"] = 7
    train(sets=sets, net=older, epochs=1)
    assert older.statistics is None


def test_validation_images_have_the_features_of_training_images():
    sets = [described(part, "vector", True) for part in digits(48, 12)]
    sets[1] = dataclasses.replace(sets[1], name="val", condition_names=("ink", "height"))
    with pytest.raises(ModelError, match="val lacks width"):
        train(sets=sets)


@pytest.mark.parametrize("classes", [("c", "b"), ("b",), ()], ids=str)
def test_a_fine_tuned_model_keeps_counting_its_classes_as_before(classes):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 2, (6, 1, 3, 3), generator=generator)
    parent = ImageSet(images, 2, torch.tensor([0] * 6), ("a", "b", "c"))
    made = px.create_model("gated-pixelcnn", parent, condition="label", width=4, depth=1)
    fit(made, parent, parent, epochs=1, verbose=False)
    others = torch.tensor([0, len(classes) - 1] * 3) if classes else torch.tensor([1, 2] * 3)
    child = dataclasses.replace(parent, labels=others, classes=classes)
    fit(made, child, child, epochs=1, verbose=False)
    assert made.record["classes"] == ["a", "b", "c"]
    assert made.record["classes_seen"] == ([0, 1] if classes == ("b",) else [0, 1, 2])


def test_a_fine_tuned_model_still_knows_the_classes_that_its_parent_has_seen(caplog):
    images = torch.zeros(6, 1, 3, 3, dtype=torch.uint8)
    parent = ImageSet(images, 2, torch.tensor([0, 1, 3] * 2), ("a", "b", "c", "d"))
    made = px.create_model("gated-pixelcnn", parent, condition="label", width=4, depth=1)
    fit(made, parent, parent, epochs=1, verbose=False)
    child = dataclasses.replace(parent, labels=torch.tensor([1] * 6))
    fit(made, child, child, epochs=1, verbose=False)
    assert made.record["classes_seen"] == [0, 1, 3]
    px.evaluate(made, parent)
    assert "no image of class" not in caplog.text


def test_classes_that_are_called_by_numbers_are_those_of_a_model_that_was_trained_on_numbers():
    images = torch.zeros(6, 1, 3, 3, dtype=torch.uint8)
    parent = ImageSet(images, 2, torch.tensor([0, 1, 3] * 2))
    made = px.create_model("gated-pixelcnn", parent, condition="label", width=4, depth=1)
    fit(made, parent, parent, epochs=1, verbose=False)
    folders = dataclasses.replace(parent, labels=torch.tensor([0, 1, 1] * 2), classes=("1", "3"))
    assert condition_of(made, folders).tolist() == [1, 3, 3] * 2
    fit(made, folders, folders, epochs=1, verbose=False)
    assert made.record["classes_seen"] == [0, 1, 3]
    assert condition_of(made, folders).tolist() == [1, 3, 3] * 2


def test_words_for_numbered_classes_are_refused_or_told_of(caplog):
    images = torch.zeros(6, 1, 3, 3, dtype=torch.uint8)
    numbered = ImageSet(images, 2, torch.tensor([0, 1, 3] * 2))
    made = px.create_model("gated-pixelcnn", numbered, condition="label", width=4, depth=1)
    fit(made, numbered, numbered, epochs=1, verbose=False)
    named = dataclasses.replace(numbered, labels=torch.tensor([0, 1] * 3), classes=("1", "other"))
    with pytest.raises(ModelError, match="knows no class 'other', only 0, 1, 2, 3"):
        condition_of(made, named)
    words = dataclasses.replace(named, classes=("cat", "dog"))
    assert condition_of(made, words).tolist() == [0, 1] * 3
    assert condition_of(made, words).tolist() == [0, 1] * 3
    told = "labels of training are numbers, of these words, taken for 0 cat, 1 dog"
    assert caplog.text.count(told) == 1


def test_a_class_that_the_parent_does_not_know_is_refused():
    images = torch.zeros(6, 1, 3, 3, dtype=torch.uint8)
    parent = ImageSet(images, 2, torch.tensor([0, 1] * 3), ("a", "b"))
    made = px.create_model("gated-pixelcnn", parent, condition="label", width=4, depth=1)
    fit(made, parent, parent, epochs=1, verbose=False)
    with pytest.raises(ModelError, match="knows no class 'c', only a, b"):
        fit(made, dataclasses.replace(parent, classes=("a", "c")), parent, verbose=False)
