"""Pictures are read by every command as those that a model was trained on."""

import numpy as np
import pytest
import torch
from PIL import Image

from pictures import save_pictures
from pixelcnn import checkpoint, record
from pixelcnn.data import load
from pixelcnn.sources import preparation, recorded

TINY = ("--epochs", 1, "--set", "network.width=4", "--set", "network.depth=1", "--run", "run")


def test_the_score_of_a_mask_does_not_depend_on_the_files_beside_it(run, here):
    masks = np.random.default_rng(0).integers(0, 2, (9, 8, 8), np.uint8)
    masks[4] = 0
    save_pictures(here / "masks", masks)
    save_pictures(here / "alone", masks[4:5])
    run("train", "digits", "--data", "masks", "--set", "data.source_levels=2", *TINY)
    together, (alone,) = run("score", "run", "masks").rows, run("score", "run", "alone").rows
    assert (together[4]["name"], together[4]["nats"]) == ("4.png", alone["nats"])
    assert run("evaluate", "run", "--data", "masks", "--split", "all", "--json").json["levels"] == 2
    run("complete", "run", "alone/0.png", "-n", 1)
    save_pictures(here / "white", masks[:1] * 255)
    outcome = run("score", "run", "white", code=3)
    assert "holds the value 255, but 2 levels are 0 to 1" in outcome.error
    assert "--source-levels" in outcome.hint
    run("score", "run", "white", "--source-levels", 256)


def test_photographs_are_brought_to_size_and_grey_as_in_training(run, here):
    values = np.random.default_rng(0).integers(0, 256, (9, 20, 24, 3), np.uint8)
    save_pictures(here / "photos", values)
    options = ("--data", "photos", "--size", 8, "--grey", "--set", "data.levels=4")
    assert "20x24 resized to 8x8" in run("train", "digits", *options, *TINY).stderr
    known = checkpoint.load(here / "run/best.safetensors")
    assert {"size": (8, 8), "fit": "resize", "grey": True}.items() <= recorded(known).items()
    assert "--data" not in run("score", "run", "photos").stderr
    assert "resized" in run("evaluate", "run").stderr
    images = load("photos", size=8, grey=True, levels=4)
    assert images.train.content_hash == known.record["content_hash"]["train"]
    colour = load("photos", size=8).train.images.int()
    luma = (colour * torch.tensor([299, 587, 114]).view(3, 1, 1)).sum(1, keepdim=True)
    assert torch.equal((luma + 500) // 1000, load("photos", size=8, grey=True).train.images.int())


def test_patches_are_trained_on_and_evaluated(run, here):
    save_pictures(here / "photos", np.random.default_rng(0).integers(0, 256, (6, 20, 24), np.uint8))
    options = ("--data", "photos", "--size", 8, "--fit", "patches", "--set", "data.levels=4")
    run("train", "digits", *options, *TINY)
    outcome = run("evaluate", "run")
    assert "photos (patches) (test)" in outcome.stdout
    assert "cut into patches of 8x8" in outcome.stderr
    assert len({row["name"] for row in run("score", "run", "photos").rows}) == 6 * 2 * 3


@pytest.mark.parametrize("flags", [("--grey", "--rgb"), ("--fit", "patches"), ("--fit", "stretch")])
def test_what_contradicts_itself_is_a_usage_error(run, here, flags):
    save_pictures(here / "photos", np.zeros((4, 8, 8), np.uint8))
    run("train", "digits", "--data", "photos", *flags, "--dry-run", code=2)


def test_pictures_of_older_models_are_cropped_as_they_were(tiny):
    model = tiny()
    model.record["data"] = {"name": "photos", "size": 8}
    assert recorded(model)["fit"] == "crop"
    assert preparation(model)["fit"] == "crop"
    assert preparation(model, {"fit": "resize"})["fit"] == "resize"


def test_a_record_refuses_levels_that_are_none():
    assert record.checked({"picture_levels": 2, "data": {"grey": True}})
    with pytest.raises(Exception, match="picture_levels"):
        record.checked({"picture_levels": 1})


@pytest.mark.parametrize("levels", [2, 5, 300])
def test_pictures_of_samples_score_as_their_levels_do(run, tiny, here, levels):
    model = tiny(levels=levels)
    model.record = {"picture_levels": levels, "data": {"name": "maps"}}
    checkpoint.save(model, here / "maps.safetensors")
    run("sample", "maps.safetensors", "-n", 3, "--out", "drawn/")
    run("sample", "maps.safetensors", "-n", 3, "--out", "drawn.npy")
    pictures = run("score", "maps.safetensors", "drawn/").rows
    array = run("score", "maps.safetensors", "drawn.npy").rows
    assert [row["nats"] for row in pictures] == [row["nats"] for row in array]


def test_pictures_of_samples_compare_with_levels_as_given(run, tiny, here):
    model = tiny()
    model.record = {"binarisation": "none", "data": {"name": "digits"}}
    checkpoint.save(model, here / "m.safetensors")
    run("sample", "m.safetensors", "-n", 9, "--out", "drawn/")
    assert "bins" not in run("score", "m.safetensors", "drawn/").stderr
    command = ("evaluate", "m.safetensors", "--data", "drawn/", "--split", "all", "--json")
    assert run(*command).json["as_trained"] is True
    save_pictures(here / "photos", np.random.default_rng(0).integers(0, 256, (9, 8, 8), np.uint8))
    assert "do not compare" in run("score", "m.safetensors", "photos").stderr


def test_what_is_done_to_files_is_one_line_but_before_a_training(run, model, here):
    values = np.random.default_rng(0).integers(0, 256, (4, 8, 8), np.uint8)
    save_pictures(here / "mixed", values)
    Image.fromarray(values[0].astype(np.uint16) * 257).save(here / "mixed/deep.png")
    grey = Image.fromarray(values[1])
    grey.putalpha(grey.copy())
    grey.save(here / "mixed/clear.png")
    said = (
        "2 of 6 files change when they are read, first clear.png; 'pixelcnn data check' shows how"
    )
    details = ("16 bits reduced to 8", "transparency laid over white")
    brief = run("score", model, "mixed").stderr
    full = run("train", "digits", "--data", "mixed", "--dry-run").stderr
    assert said in brief and not any(each in brief for each in details)
    assert said not in full and all(each in full for each in details)
