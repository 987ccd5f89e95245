"""``pixelcnn sample`` and ``pixelcnn complete``."""

import numpy as np
import pytest
import torch
from PIL import Image

from engines.walks import FAST, needs_native
from pixelcnn import checkpoint, data, engines, networks, outputs, sampling
from pixelcnn.model import PixelModel
from pixelcnn.program import Unlowerable


def test_sample_writes_a_grid_and_says_where(run, model, here):
    outcome = run("sample", model, "-n", 4)
    assert outcome.stdout == "samples.png\n"
    with Image.open(here / "samples.png") as picture:
        assert picture.width == picture.height


def test_sample_arrays_are_those_of_the_library(run, model, here):
    run("sample", model, "-n", 3, "--seed", 7, "--temperature", 0.5, "--out", "a.npy")
    drawn = sampling.sample(checkpoint.load(model), 3, seed=7, temperature=0.5)
    assert np.array_equal(np.load("a.npy"), drawn.numpy())


def test_the_same_seed_gives_the_same_images_for_any_batch_size(run, model, here):
    run("sample", model, "-n", 5, "--batch-size", 2, "--out", "a.npz")
    run("sample", model, "-n", 5, "--out", "b.npz")
    with np.load("a.npz") as a, np.load("b.npz") as b:
        assert np.array_equal(a["images"], b["images"])
        assert a["images"].shape == (5, 1, 8, 8)


def test_images_of_another_size_are_those_of_a_model_of_that_size(run, model, here):
    found = run(
        "sample", model, "-n", 2, "--seed", 3, "--size", "7x11", "--out", "a.npy", "--json"
    ).json
    loaded = checkpoint.load(model)
    larger = PixelModel(loaded.network, loaded.output, (1, 7, 11))
    assert np.array_equal(np.load("a.npy"), sampling.sample(larger, 2, seed=3).numpy())
    assert found["shape"] == [2, 1, 7, 11]


def test_a_network_that_takes_no_larger_images_says_so(run, here):
    network = networks.MADE(1, 1, rows=5, columns=7, width=3)
    checkpoint.save(PixelModel(network, outputs.Bernoulli(), (1, 5, 7)), here / "made.safetensors")
    run("sample", "made.safetensors", "-n", 1, "--size", "5x6")
    refused = run("sample", "made.safetensors", "-n", 1, "--size", 11, code=2)
    assert "at most 5x7, not 11x11" in refused.stderr


def test_sample_into_a_folder(run, model, here):
    outcome = run("sample", model, "-n", 2, "--out", "drawn/some")
    assert outcome.stdout == "drawn/some\n"
    files = sorted(p.name for p in (here / "drawn/some").iterdir())
    assert files == ["sample-0000.png", "sample-0001.png"]
    with Image.open(here / "drawn/some/sample-0000.png") as picture:
        assert (picture.mode, picture.size) == ("L", (8, 8))


@pytest.mark.parametrize("channels", [1, 3])
def test_more_than_256_levels_are_all_in_a_folder_of_pictures(run, tiny, here, channels):
    checkpoint.save(tiny((channels, 8, 8), levels=1_000), here / "m.safetensors")
    assert "note" not in run("sample", "m.safetensors", "-n", 3, "--out", "drawn").stderr
    run("sample", "m.safetensors", "-n", 3, "--out", "a.npy")
    found = data.load_all("drawn", levels=1_000).images
    assert found.max() > 256
    assert np.array_equal(found.numpy(), np.load("a.npy"))


@pytest.mark.parametrize(
    ("shape", "levels", "out", "lost", "instead"),
    [
        ((1, 2, 2), 1_000, "a.png", "8 bits of 1,000 levels", ".npy, .npz and a folder have all"),
        ((1, 2, 2), 1_000, "a.gif", "8 bits of 1,000 levels", ".npy, .npz and a folder have all"),
        ((3, 2, 2), 1_000, "a.png", "8 bits of 1,000 levels", ".npy, .npz and a folder have all"),
        (
            (4, 2, 2),
            257,
            "a.png",
            "3 of 4 channels and 8 bits of 257 levels",
            ".npy and .npz have all",
        ),
        ((4, 2, 2), 257, "a", "3 of 4 channels", ".npy and .npz have all"),
        ((4, 2, 2), 4, "a.png", "3 of 4 channels", ".npy and .npz have all"),
    ],
)
def test_what_pictures_do_not_show_is_said(run, tiny, here, shape, levels, out, lost, instead):
    checkpoint.save(tiny(shape, levels), here / "m.safetensors")
    said = run("sample", "m.safetensors", "-n", 1, "--out", out).stderr
    assert f"note: pictures show {lost}; {instead}\n" in said
    assert "note" not in run("sample", "m.safetensors", "-n", 1, "--out", "a.npy").stderr


def test_sample_animation_shows_the_drawing(run, model, here):
    run("sample", model, "-n", 2, "--batch-size", 1, "--out", "a.gif")
    with Image.open("a.gif") as film:
        assert 32 <= film.n_frames <= 80
        assert film.info["loop"] == 0


def test_slow_sampling_is_one_line_of_talk(run, model, here, monkeypatch):
    def refuse(_):
        raise Unlowerable("layer 'act' is a Foo")

    monkeypatch.setattr(engines, "program_of", refuse)
    monkeypatch.setattr(engines, "FEW_POSITIONS", 32)
    outcome = run("sample", model, "-n", 2, "--batch-size", 1)
    (line,) = [line for line in outcome.stderr.splitlines() if line.startswith("warning: ")]
    assert "sampling calls forward for each of 64 positions: layer 'act' is a Foo; " in line


def test_sample_json(run, model, here):
    found = run("sample", model, "-n", 2, "--json").json
    assert found["files"] == ["samples.png"]
    assert found["shape"] == [2, 1, 8, 8]
    assert found["labels"] is None


@pytest.mark.parametrize("out", ["a.xyz", "a.jpg"])
def test_a_suffix_we_do_not_write_is_refused_before_drawing(run, out):
    assert ".gif" in run("sample", "no-model", "--out", out, code=2).hint


def test_a_file_in_the_way_of_a_folder(run, model, here):
    (here / "taken").write_text("mine")
    assert "is a file" in run("sample", model, "--out", "taken", code=2).error
    assert (here / "taken").read_text() == "mine"


def test_existing_pictures_are_replaced_as_a_whole(run, model, here):
    (here / "samples.png").write_text("old")
    run("sample", model, "-n", 1)
    with Image.open(here / "samples.png") as picture:
        picture.verify()
    assert [p.name for p in here.iterdir()] == ["samples.png"]


def test_labels_in_turn_by_name_and_by_number(run, labelled):
    assert run("sample", labelled, "-n", 4, "--json").json["labels"] == [0, 1, 2, 0]
    assert run("sample", labelled, "-n", 2, "--label", "Owl", "--json").json["labels"] == [2, 2]
    assert run("sample", labelled, "-n", 1, "--label", "1", "--json").json["labels"] == [1]


def test_unknown_labels_teach(run, labelled):
    outcome = run("sample", labelled, "--label", "dgo", code=2)
    assert "'dog'" in outcome.error
    assert "cat, dog, owl" in outcome.hint
    run("sample", labelled, "--label", "3", code=2)


def test_a_label_for_a_model_without_classes(run, model):
    assert "not class-conditional" in run("sample", model, "--label", "1", code=2).error


@pytest.mark.parametrize(
    "engine", ["auto", "full", *FAST, pytest.param("native-bf16", marks=needs_native)]
)
def test_engines(run, model, engine):
    run("sample", model, "-n", 1, "--engine", engine)


def test_an_engine_that_cannot_run_here_or_is_none_is_refused(run, model):
    assert "on cpu" in run("sample", model, "--engine", "cuda", "--device", "cpu", code=2).error
    outcome = run("sample", model, "--engine", "warp", code=2)
    assert "warp" in outcome.error and "full" in outcome.hint


@pytest.mark.parametrize("known", ["top", "left", "mask.png"])
def test_complete_keeps_what_is_known(run, model, here, picture, known):
    picture("given.png", value=200)
    mask = np.zeros((8, 8), bool)
    if known == "top":
        mask[:4] = True
    elif known == "left":
        mask[:, :4] = True
    else:
        mask[2:5, 3:] = True
        Image.fromarray(mask).save("mask.png")
    run("complete", model, "given.png", "--known", known, "-n", 3, "--out", "a.npy")
    drawn = np.load("a.npy")
    assert drawn.shape == (3, 1, 8, 8)
    assert (drawn[:, 0][:, mask] == 200 * 17 // 256).all()


def test_complete_says_what_raster_order_ignores(run, model, picture):
    file = picture()
    assert "ignores" not in run("complete", model, file, "-n", 1).stderr
    assert "ignores" in run("complete", model, file, "-n", 1, "--known", "left").stderr
    assert "later" in run("complete", "--help").stdout


@pytest.mark.parametrize(("out", "made"), [("a.png", "a.png"), ("a.gif", "a.gif"), ("a", "a")])
def test_complete_pictures(run, model, here, picture, out, made):
    outcome = run("complete", model, picture("1.png"), picture("2.png"), "-n", 2, "--out", out)
    assert outcome.stdout == f"{made}\n"
    if made == "a":
        assert len(list((here / "a").glob("completion-*.png"))) == 4


def test_an_animation_shows_what_is_known_of_each_image(run, model, picture):
    np.save("masks.npy", np.random.default_rng(0).random((2, 1, 8, 8)) < 0.5)
    words = (picture("1.png"), picture("2.png"), "--known", "masks.npy", "-n", 3)
    run("complete", model, *words, "--out", "a.gif")
    with Image.open("a.gif") as shown:
        assert shown.n_frames > 1


def test_complete_needs_a_mask_of_the_right_size(run, model, picture):
    picture("mask.png", side=9)
    assert "9x9" in run("complete", model, picture(), "--known", "mask.png", code=4).error
    assert "top" in run("complete", model, picture(), "--known", "right", code=2).hint
    assert run("complete", model, picture(), "--known", model, code=3).error


def test_complete_needs_images_of_the_models_size(run, model, picture):
    run("complete", model, picture(side=9), code=4)
    run("complete", model, "missing.png", code=3)


def test_complete_with_a_class(run, labelled, picture):
    assert "--label" in run("complete", labelled, picture(), code=4).hint
    run("complete", labelled, picture(), "--label", "dog", "-n", 1)


def test_completions_take_the_class_from_the_folder(run, labelled, picture, here):
    for name in ("owl", "dog"):
        (here / "photos" / name).mkdir(parents=True)
        picture(f"photos/{name}/1.png")
    run("complete", labelled, "photos", "-n", 2, "--out", "own.npy")
    for number, name in enumerate(["dog", "owl"]):
        given = (f"photos/{name}/1.png", "--label", name)
        run("complete", labelled, *given, "-n", 2, "--out", "one.npy")
        np.testing.assert_array_equal(np.load("one.npy").shape, (2, 1, 8, 8))
        if number == 0:  # the first image draws from the same numbers in both calls
            np.testing.assert_array_equal(np.load("own.npy")[:2], np.load("one.npy"))


def test_completions_are_those_of_the_library(run, model, here):
    given = torch.randint(17, (2, 1, 8, 8), dtype=torch.uint8)
    np.save("given.npy", given.numpy())
    run("complete", model, "given.npy", "-n", 2, "--seed", 3, "--out", "a.npy")
    known = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    known[:, :, :4] = True
    drawn = sampling.complete(checkpoint.load(model), given, known, n=2, seed=3)
    assert np.array_equal(np.load("a.npy"), drawn.numpy())
