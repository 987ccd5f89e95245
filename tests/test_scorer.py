"""Scorer: likelihoods as a column of somebody else's batches."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from PIL import Image

import pixelcnn as px
from pixelcnn import scoring
from pixelcnn.errors import ConfigError, DataError, ModelError

IMAGES = torch.randint(0, 17, (5, 8, 8), generator=torch.Generator().manual_seed(1)).byte().numpy()


@pytest.fixture(scope="module")
def nats():
    return px.score(px.load("digits"), IMAGES).numpy()


@pytest.mark.parametrize(
    "images", [IMAGES, torch.from_numpy(IMAGES), list(IMAGES), IMAGES.tolist()]
)
def test_a_dictionary_keeps_its_columns(images, nats):
    batch = {"name": ["a"] * 5, "image": images}
    found = px.Scorer("digits", batch_size=2)(batch)
    assert found["name"] is batch["name"]
    assert found["image"] is images
    assert found["nats"].tolist() == pytest.approx(nats.tolist())
    assert "nats" not in batch


def test_a_data_frame_stays_one(nats):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"scan": list(IMAGES), "patient": range(5)}, index=[7, 8, 9, 4, 2])
    found = px.Scorer(px.load("digits"), image="scan", column="surprise")(frame)
    assert found.index.tolist() == [7, 8, 9, 4, 2]
    assert found.patient.tolist() == [0, 1, 2, 3, 4]
    assert found.surprise.tolist() == pytest.approx(nats.tolist())


def test_a_dataset_of_hugging_face_gets_a_column(nats):
    datasets = pytest.importorskip("datasets")
    pictures = [Image.fromarray(image) for image in IMAGES]
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    given = datasets.Dataset.from_dict({"image": pictures, "label": [0] * 5}, features=kinds)
    options = {"source_levels": 17}
    found = given.map(px.Scorer("digits", **options), batched=True, batch_size=3)
    assert set(found.column_names) == {"image", "label", "nats"}
    assert list(found["nats"]) == pytest.approx(nats.tolist())


def test_labels_are_what_a_conditional_model_is_given():
    images = np.zeros((3, 28, 28), np.uint8)
    found = px.Scorer("mnist-labels")({"image": images, "label": [0, 1, 1]})["nats"]
    wanted = px.score(px.load("mnist-labels"), images, torch.tensor([0, 1, 1]))
    assert found.tolist() == pytest.approx(wanted.tolist())
    with pytest.raises(DataError, match="no column labels or y or label"):
        px.Scorer("mnist-labels")({"image": images})
    with pytest.raises(ConfigError, match="a label condition is made of numbers"):
        px.Scorer("mnist-labels")({"image": images, "label": ["0", "1", "1"]})


def test_tags_of_augmentation_are_no_labels():
    model = px.create_model("pixelcnn", px.data.load("digits"), tags=["flip"], width=4, depth=1)
    wanted = px.score(model, IMAGES).tolist()
    for more in ({}, {"label": [1, 0, 1, 1, 0]}):
        found = px.Scorer(model)({"image": IMAGES, **more})["nats"]
        assert found.tolist() == pytest.approx(wanted)


@pytest.mark.parametrize("model", ["digits", px.load("digits")], ids=["name", "model"])
def test_other_processes_can_be_sent_one(model, nats):
    scorer = px.Scorer(model)
    assert scorer({"image": IMAGES})["nats"].tolist() == nats.tolist()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(scorer, {"image": IMAGES}).result()
    assert found["nats"].tolist() == pytest.approx(nats.tolist())


def test_a_name_is_all_that_they_are_sent():
    scorer = px.Scorer("digits")
    scorer({"image": IMAGES})
    assert len(ForkingPickler.dumps(scorer)) < 500


def test_a_model_is_loaded_where_it_computes(monkeypatch):
    places = []

    def load(source, *, device):
        places.append(device)
        return px.load(source, device=device)

    monkeypatch.setattr(scoring, "load", load)
    for options in ({}, {"device": "auto"}):
        scorer = px.Scorer("digits", **options)
        scorer({"image": IMAGES})
        scorer({"image": IMAGES})
    assert places == ["cpu", "auto"]


def test_a_column_is_the_one_that_is_called_so_to_the_letter(nats):
    batch = {"scan": np.zeros_like(IMAGES), "Scan": IMAGES}
    assert px.Scorer("digits", image="Scan")(batch)["nats"].tolist() == pytest.approx(nats.tolist())
    assert px.Scorer("digits", image="SCAN")({"Scan": IMAGES})["nats"].shape == (5,)


def test_what_is_missing_is_named():
    with pytest.raises(DataError, match="no column scan in a batch of image, name"):
        px.Scorer("digits", image="scan")({"image": IMAGES, "name": [1] * 5})
    with pytest.raises(ModelError, match="this model is for 1x8x8 images"):
        px.Scorer("digits")({"image": IMAGES[:, :5]})


@pytest.mark.parametrize("count", [3, 70])
def test_images_of_another_shape_are_named_as_a_set(count):
    images = np.zeros((count, 1, 5, 7), np.uint8)
    with pytest.raises(ModelError, match=rf"1x8x8 images, got .* \({count}, 1, 5, 7\)"):
        px.score(px.load("digits"), images)
    with pytest.raises(ModelError, match="for 1x8x8 images, black has 1x5x7") as caught:
        px.evaluate(px.load("digits"), px.data.ImageSet(images, 17, name="black"))
    assert "8x8" in caught.value.hint


def test_an_array_with_labels_holds_levels_of_the_model_as_one_alone_does():
    model = px.load("mnist-labels")
    images = px.data.load("digits").test.images[:3, 0].numpy() // 9
    images = np.pad(images, ((0, 0), (10, 10), (10, 10)))
    alone = px.score(model, images, condition=[1, 2, 3])
    assert px.score(model, (images, [1, 2, 3])).tolist() == alone.tolist()


def test_labels_beside_an_array_that_a_model_has_no_use_for_are_not_looked_at(nats):
    assert px.score(px.load("digits"), (IMAGES, np.eye(10)[:5])).tolist() == nats.tolist()
