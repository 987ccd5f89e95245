"""A training leaves models that can be compressed with at once, and fails for none that cannot."""

import numpy as np
import torch

import pixelcnn as px
from pixelcnn import data, networks, outputs
from pixelcnn.training import fit
from training.trainings import QUICK, digits, train

KEYS = {"activation_ranges", "integer_precision", "integer_loss"}
OPTIONS = QUICK | {"epochs": 1, "calibration_images": 3}


def test_both_models_of_a_run_compress(tmp_path):
    model, _ = train(tmp_path, epochs=2, images=20, val=5, calibration_images=3)
    assert model.record.keys() >= KEYS and abs(model.record["integer_loss"]) < 0.002
    images = digits(4)[0].images.numpy()
    for name, weights in (("best", "averaged"), ("last", "averaged"), ("best", "raw")):
        found = px.load(tmp_path / f"{name}.safetensors", weights=weights)
        assert found.record.keys() >= KEYS
        assert np.array_equal(px.decompress(found, px.compress(found, images)), images)
    before = (tmp_path / "best.safetensors").read_bytes()
    again, _ = train(tmp_path, epochs=2, images=20, val=5, calibration_images=3, resume=True)
    assert again.record["activation_ranges"] == model.record["activation_ranges"]
    assert (tmp_path / "best.safetensors").read_bytes() == before


def test_ranges_do_not_outlive_the_weights_they_were_measured_with():
    model, _ = train(None, epochs=1, images=20, val=5, calibration_images=3)
    assert model.record.keys() >= KEYS
    fit(model, *digits(20, 5), verbose=False, **(OPTIONS | {"calibration_images": 0}))
    assert not model.record.keys() & KEYS


def test_labels_are_passed_on():
    train_set, val, _ = data.load("digits")
    network = networks.PixelCNN(
        1, 17, width=4, depth=1, first_kernel=3, kernel=3, condition="label", condition_size=10
    )
    model = px.PixelModel(network, outputs.Categorical(levels=17), (1, 8, 8))
    fit(model, train_set.limit(16), val.limit(4), verbose=False, **OPTIONS)
    assert model.record.keys() >= KEYS


def test_a_model_without_an_integer_form_trains_as_ever_and_says_so(tmp_path):
    torch.manual_seed(0)
    network = networks.NETWORKS["snail"](1, 17, width=4, depth=1)
    model = px.PixelModel(network, outputs.Categorical(levels=17), (1, 8, 8))
    fit(model, *digits(16, 4), tmp_path, verbose=False, **OPTIONS)
    assert not model.record.keys() & KEYS
    said = (tmp_path / "train.log").read_text()
    assert said.count("not ready to compress: this model has no integer form: ") == 1
