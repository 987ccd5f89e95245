"""What ``compress`` writes, ``decompress`` gives back as it was; and both have the manners of zstd."""

import functools
import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import pixelcnn as px
from pixelcnn import data, networks, outputs, png, sources
from pixelcnn.cli import app
from pixelcnn.cli import models as cli_models
from terminal import in_terminal

FOUR = np.random.default_rng(0)
KEPT = functools.cache(cli_models.load)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Files of tiny models with ranges: ``binary``, ``grey``, ``colour`` and ``labelled``."""
    folder = tmp_path_factory.mktemp("models")

    def make(name, output, channels=1, **condition):
        torch.manual_seed(0)
        out = output.parameters_per_pixel(channels)
        order = "pixel" if output.couples_channels and channels > 1 else "channel"
        network = networks.PixelCNN(
            channels, out, width=6, depth=0, first_kernel=3, order=order, **condition
        )
        model = px.PixelModel(network, output, (channels, 8, 8)).eval()
        images = np.arange(4 * channels * 64).reshape(4, channels, 8, 8) % output.levels
        model.record["classes"] = ["cat", "dog"] if condition else None
        model.record = {key: value for key, value in model.record.items() if value}
        px.calibrate(model, images, [0, 1, 0, 1] if condition else None)
        px.save(model, folder / f"{name}.safetensors")

    make("binary", outputs.Bernoulli())
    make("eight", outputs.Categorical(levels=8))
    make("grey", outputs.Categorical(levels=256))
    make("colour", outputs.LogisticMixture(levels=256, components=1), channels=3)
    make("labelled", outputs.Bernoulli(), condition="label", condition_size=2)
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch):
    """The integer form of a model takes longer to make than a small image to code."""
    monkeypatch.setattr(cli_models, "load", KEPT)


def pixels(path):
    with Image.open(path) as image:
        return image.mode, np.asarray(image).tolist()


def save(path, values, mode=None):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(path)
    return path


ARRAYS = {
    "several": FOUR.integers(0, 256, (3, 8, 8), np.uint8),
    "channels first": FOUR.integers(0, 256, (3, 1, 4, 5)).astype(">u2"),
    "channels last": FOUR.integers(0, 256, (3, 4, 5, 1)).astype("<i8"),
    "one": FOUR.integers(0, 256, (4, 5), np.uint8),
    "Fortran": np.asfortranarray(FOUR.integers(0, 256, (3, 8, 9), np.uint8)),
    "Fortran, high byte first": np.asfortranarray(FOUR.integers(0, 256, (3, 4, 5)).astype(">i4")),
    "booleans": FOUR.integers(0, 2, (3, 8, 8)).astype(bool),
    "none": np.zeros((0, 8, 8), np.uint8),
    "one pixel": np.full((1, 1, 1), 200, np.uint8),
    "a row": FOUR.integers(0, 256, (1, 1, 23), np.uint8),
    "a column": FOUR.integers(0, 256, (1, 23, 1), np.uint8),
}


FAST = {"several", "channels first", "Fortran, high byte first", "none", "one pixel", "a row"}


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(values, id=name, marks=[] if name in FAST else [pytest.mark.slow])
        for name, values in ARRAYS.items()
    ],
)
def test_an_array_comes_back_as_the_same_file(run, models, values):
    np.save("a b.npy", values)
    before = Path("a b.npy").read_bytes()
    assert run("compress", models["grey"], "a b.npy").stdout == "a b.npy.pxc\n"
    Path("a b.npy").unlink()
    run("decompress", models["grey"], "a b.npy.pxc")
    assert Path("a b.npy").read_bytes() == before


@pytest.mark.parametrize("levels", [pytest.param("binary", marks=pytest.mark.slow), "eight"])
def test_what_sample_writes_comes_back(run, models, levels):
    run("sample", models[levels], "-n", 5, "-o", "drawn")
    run("compress", models[levels], "drawn", "-o", "d.pxc")
    run("decompress", models[levels], "d.pxc", "-o", "again")
    for path in Path("drawn").iterdir():
        assert pixels(path) == pixels(Path("again", path))
    assert len(json.loads(run("info", "d.pxc", "--json").stdout)["entries"]) == 5


def test_pictures_come_back_with_their_modes_names_and_sizes(run, models, here):
    grey = FOUR.integers(0, 256, (6, 9), np.uint8)
    mask = (grey > 99) * np.uint8(255)
    save("in/sub/ü -x.png", grey)
    save("in/-lead.png", mask, "1")
    save("in/tiny.png", grey[:1, :1])
    save("in/row.PNG", grey[:1])
    save("in/column.bmp", grey[:, :1])
    run("compress", models["grey"], "in", "-o", "p.pxc")
    run("decompress", models["grey"], "p.pxc", "-o", "out")
    for name in ("sub/ü -x.png", "-lead.png", "tiny.png", "row.PNG"):
        assert pixels(Path("in", name)) == pixels(Path("out/in", name))
    assert pixels("in/column.bmp") == pixels("out/in/column.bmp.png")


def test_colours_come_back_and_palettes_as_what_they_show(run, models):
    colours = FOUR.integers(0, 256, (5, 6, 3), np.uint8)
    save("a.png", colours)
    Image.fromarray(colours).convert("P").save("p.gif")
    opaque = np.dstack([colours, np.full((5, 6), 255, np.uint8)])
    save("o.png", opaque)
    said = run("compress", models["colour"], "a.png", "p.gif", "o.png", "-o", "c.pxc").stderr
    assert "note: palette looked up (1 file)" in said
    run("decompress", models["colour"], "c.pxc", "-o", "out")
    assert pixels("a.png") == pixels("out/a.png") == pixels("out/o.png")
    with Image.open("p.gif") as shown:
        assert np.array_equal(np.asarray(shown.convert("RGB")), pixels("out/p.gif.png")[1])


def test_sixteen_bits_come_back_where_levels_tell_them_apart(run, models):
    deep = (FOUR.integers(0, 200, (5, 6)) * 256).astype(np.uint16)
    save("deep.png", deep)
    save("wide.png", FOUR.integers(0, 200, (5, 6, 3), np.uint8))
    run("compress", models["grey"], "deep.png")
    run("decompress", models["grey"], "deep.png.pxc", "-o", "again.png")
    assert pixels("deep.png") == pixels("again.png")
    colours = (FOUR.integers(0, 200, (5, 6, 3)) * 257).astype(np.uint16)
    Path("wide.png").write_bytes(png.deep(colours))
    run("compress", models["colour"], "wide.png")
    run("decompress", models["colour"], "wide.png.pxc", "-o", "again.png", "-f")
    assert Path("again.png").read_bytes() == Path("wide.png").read_bytes()


def test_what_would_not_come_back_is_refused_by_name(run, models):
    grey = FOUR.integers(0, 256, (8, 8), np.uint8)
    save("grey.png", grey)
    outcome = run("compress", models["binary"], "grey.png", code=4)
    assert "grey.png has" in outcome.error and "2 levels" in outcome.error
    assert "has 1 channel," in run("compress", models["colour"], "grey.png", code=4).error
    save("seen.png", np.dstack([grey, grey, grey, grey]))
    assert "transparency" in run("compress", models["colour"], "seen.png", code=4).error
    np.save("f.npy", np.zeros((1, 8, 8), np.float32))
    assert "float32" in run("compress", models["grey"], "f.npy", code=4).error
    np.save("n.npy", np.full((1, 8, 8), -1))
    assert "from -1 to" in run("compress", models["grey"], "n.npy", code=4).error
    frames = [Image.fromarray(grey), Image.fromarray(grey.T)]
    frames[0].save("moves.gif", save_all=True, append_images=frames[1:])
    assert "frames" in run("compress", models["grey"], "moves.gif", code=4).error
    assert not list(Path().glob("*.pxc"))


def test_classes_are_the_names_of_folders(run, models):
    for name in ("dog/1.png", "cat/2.png", "dog/3.png"):
        save(Path("in", name), np.zeros((8, 8), np.uint8))
    run("compress", models["labelled"], "in", "-o", "l.pxc")
    entries = run("info", "l.pxc", "--json").json["entries"]
    assert {entry["name"]: entry["labels"] for entry in entries} == {
        "in/cat/2.png": [0], "in/dog/1.png": [1], "in/dog/3.png": [1],
    }  # fmt: skip
    np.save("a.npy", np.zeros((2, 8, 8), np.uint8))
    assert "class of each image" in run("compress", models["labelled"], "a.npy", code=4).error
    run("compress", models["labelled"], "a.npy", "--label", "dog")
    np.savez("z.npz", images=np.ones((2, 8, 8), np.uint8), labels=[1, 0])
    run("compress", models["labelled"], "z.npz")
    for name in ("a.npy", "z.npz"):
        run("decompress", models["labelled"], f"{name}.pxc", "-o", "out/")
    assert np.load("out/z.npz.npy").all()


def test_labels_that_are_words_are_the_classes_that_the_model_calls_so(run, models):
    images = np.ones((2, 8, 8), np.uint8)
    np.savez("z.npz", images=images, labels=["dog", "cat"])
    run("compress", models["labelled"], "z.npz")
    assert run("info", "z.npz.pxc", "--json").json["entries"][0]["labels"] == [1, 0]
    np.savez("y.npz", images=images, labels=["dog", "cow"])
    error = run("compress", models["labelled"], "y.npz", code=4).error
    assert "y.npz: this model knows no class 'cow'" in error


def test_what_was_told_of_augmentation_needs_no_class(run, models):
    model = px.load(models["labelled"])
    del model.record["classes"]
    model.record["tags"] = {"transformations": ["flip"], "count": 2}
    px.save(model, "told.safetensors")
    save("in/cat/1.png", np.zeros((8, 8), np.uint8))
    np.savez("z.npz", images=np.ones((2, 8, 8), np.uint8), labels=[1, 0])
    run("compress", "told.safetensors", "in", "z.npz", "-o", "t.pxc")
    entries = run("info", "t.pxc", "--json").json["entries"]
    assert [entry["labels"] for entry in entries] in ([[0], [0, 0]], [[0, 0], [0]])
    run("decompress", "told.safetensors", "t.pxc", "-o", "out")
    assert np.load("out/z.npz.npy").all()


def test_folders_of_parts_are_no_classes(run, models):
    for name in ("train/cat/1.png", "train/dog/1.png", "test/dog/1.png"):
        save(Path("pets", name), np.zeros((8, 8), np.uint8))
    run("compress", models["labelled"], "pets", "-o", "p.pxc")
    entries = run("info", "p.pxc", "--json").json["entries"]
    assert {entry["name"]: entry["labels"] for entry in entries} == {
        "pets/test/dog/1.png": [1], "pets/train/cat/1.png": [0], "pets/train/dog/1.png": [1],
    }  # fmt: skip


def test_a_label_for_all_is_taken_whatever_folders_and_sets_say(run, models, monkeypatch):
    for name in ("june/1.png", "july/1.png"):
        save(Path("trips", name), np.zeros((8, 8), np.uint8))
    unlabelled = data.ImageSet(np.zeros((2, 1, 8, 8), np.uint8), 2)
    monkeypatch.setattr(sources, "set_of", lambda *_: unlabelled)
    for word in ("trips", "digits:test"):
        run("compress", models["labelled"], word, "--label", "dog", "-o", "l.pxc", "-f")
        entries = run("info", "l.pxc", "--json").json["entries"]
        assert {label for entry in entries for label in entry["labels"]} == {1}


def test_force_is_no_leave_to_replace_what_is_read(run, models):
    np.save("a.npy", np.zeros((2, 8, 8), np.uint8))
    run("compress", models["binary"], "a.npy")
    packed = Path("a.npy.pxc").read_bytes()
    words = ("decompress", models["binary"], "a.npy.pxc", "-o", "a.npy.pxc", "-f")
    assert "is read" in run(*words, code=2).error
    assert Path("a.npy.pxc").read_bytes() == packed


def test_arrays_that_do_not_come_back_are_named(run, models):
    images = np.zeros((2, 8, 8), np.uint8)
    np.savez("parts.npz", x_train=images, y_train=[0, 1], x_test=images, levels=2)
    np.savez("alone.npz", images=images, levels=2)
    said = run("compress", models["binary"], "parts.npz", "alone.npz").stderr
    assert said.count("note:") == 1
    assert "note: only the array x_train comes back, not y_train, x_test (1 file)" in said


@pytest.mark.slow
def test_a_named_set_is_compressed_by_its_part(run, models):
    torch.manual_seed(0)
    output = outputs.Categorical(levels=17)
    model = px.PixelModel(networks.PixelCNN(1, 17, width=6, depth=0), output, (1, 8, 8)).eval()
    px.calibrate(model, np.arange(64).reshape(1, 1, 8, 8) % 17)
    px.save(model, "d.safetensors")
    run("compress", "d.safetensors", "digits:val", "-o", "v.pxc", "--no-verify")
    run("decompress", "d.safetensors", "v.pxc")
    assert np.load("digits-val.npy").shape == (200, 1, 8, 8)


@pytest.mark.parametrize(
    ("name", "lies"), [("a.npy", ("b.npz", "b.PNG")), ("a.png", ("b.npy", "b.jpg"))]
)
def test_what_comes_back_gets_no_name_of_another_kind(run, models, name, lies):
    values = np.arange(64).reshape(8, 8).astype(np.uint8) % 17
    np.save("a.npy", values)
    Image.fromarray(values).save("a.png")
    run("compress", models["grey"], name, "-o", "a.pxc")
    for other in lies:
        error = run("decompress", models["grey"], "a.pxc", "-o", other, code=2).error
        assert f"comes back as a {name[1:]} file" in error and not Path(other).exists()
    run("decompress", models["grey"], "a.pxc", "-o", "b.data")


def test_nothing_is_replaced_without_force(run, models):
    np.save("a.npy", np.zeros((1, 8, 8), np.uint8))
    run("compress", models["grey"], "a.npy")
    first = Path("a.npy.pxc").read_bytes()
    Path("a.npy.pxc").write_bytes(b"mine")
    assert "is there already" in run("compress", models["grey"], "a.npy", code=2).error
    run("compress", models["grey"], "a.npy", "-f", "-k")
    assert Path("a.npy.pxc").read_bytes() == first and Path("a.npy").exists()
    assert "is there already" in run("decompress", models["grey"], "a.npy.pxc", code=2).error
    run("decompress", models["grey"], "a.npy.pxc", "-f")


def test_inputs_without_out_go_to_a_file_each(run, models):
    for name in "ab":
        np.save(f"{name}.npy", np.zeros((1, 8, 8), np.uint8))
    outcome = run("compress", models["grey"], "a.npy", "b.npy")
    assert outcome.stdout == "a.npy.pxc\nb.npy.pxc\n"
    assert outcome.stderr.startswith("2 files 384 B -> ")
    found = run("compress", models["grey"], "a.npy", "b.npy", "-o", "x/all.pxc", "--json").json
    assert (found["files"], found["images"], found["bytes_before"]) == (2, 2, 384)
    assert found["bytes_after"] == Path("x/all.pxc").stat().st_size and found["verified"]
    run("decompress", models["grey"], "x/all.pxc", "-o", "x")
    assert Path("x/b.npy").read_bytes() == Path("b.npy").read_bytes()
    assert "holds 2 files" in run("decompress", models["grey"], "x/all.pxc", "-c", code=2).error


def test_testing_and_listing_write_nothing(run, models):
    np.save("a.npy", np.zeros((3, 8, 8), np.uint8))
    run("compress", models["grey"], "a.npy")
    Path("a.npy").unlink()
    for command in ("compress", "decompress"):
        assert "3 images as they were" in run(command, models["grey"], "a.npy.pxc", "-t").stderr
        assert "1x8x8" in run(command, "no such model", "a.npy.pxc", "-l").stdout
    assert os.listdir() == ["a.npy.pxc"]
    assert "1x8x8" in run("info", "a.npy.pxc").stdout


def test_another_model_and_damage_are_told_apart(run, models):
    np.save("a.npy", np.zeros((3, 8, 8), np.uint8))
    run("compress", models["grey"], "a.npy")
    wrong = run("decompress", models["eight"], "a.npy.pxc", "-o", "b.npy", code=4)
    assert wrong.error.startswith("a.npy.pxc compressed with the model ")
    data = bytearray(Path("a.npy.pxc").read_bytes())
    data[-9] ^= 4
    Path("a.npy.pxc").write_bytes(data)
    damaged = run("decompress", models["grey"], "a.npy.pxc", "-o", "b.npy", code=3)
    assert damaged.error == "a.npy.pxc is damaged: a checksum is wrong"
    assert not Path("b.npy").exists()
    assert "no .pxc file" in run("decompress", models["grey"], models["grey"], code=3).error


def test_of_several_files_none_is_written_before_all_are_looked_at(run, models):
    for name in ("a.npy", "b.npy"):
        np.save(name, np.zeros((3, 8, 8), np.uint8))
        run("compress", models["grey"], name)
    run("compress", models["eight"], "b.npy", "-o", "other.pxc")
    words = ("decompress", models["grey"], "a.npy.pxc", "other.pxc", "-o", "out/")
    assert run(*words, code=4).error.startswith("other.pxc compressed with the model ")
    assert not Path("out").exists()
    damaged = bytearray(Path("b.npy.pxc").read_bytes())
    damaged[-9] ^= 4
    Path("b.npy.pxc").write_bytes(damaged)
    words = ("decompress", models["grey"], "a.npy.pxc", "b.npy.pxc", "-o", "out/")
    assert run(*words, code=3).error == "b.npy.pxc is damaged: a checksum is wrong"
    assert not Path("out").exists()


def test_a_model_without_ranges_says_how_to_get_them(run, model):
    np.save("a.npy", np.zeros((3, 8, 8), np.uint8))
    assert "calibrate" in run("compress", model, "a.npy", code=4).hint


def test_shards_take_every_nth_file_and_skip_what_is_done(run, models):
    for number in range(5):
        save(f"in/{number}.png", np.full((8, 8), number, np.uint8))
    first = run("compress", models["grey"], "in", "--shard", "1/2", "--json").json
    assert first["written"] == [f"in/{number}.png.pxc" for number in (0, 2, 4)]
    Path("in/2.png.pxc").write_bytes(b"damaged")
    again = run("compress", models["grey"], "in", "--shard", "1/2", "--json").json
    assert again["written"] == ["in/2.png.pxc"] and len(again["skipped"]) == 2
    assert (
        "leave out -o" in run("compress", models["grey"], "in", "--shard", "1/2", "-c", code=2).hint
    )


def test_a_store_of_arrays_is_all_of_its_files(run, models):
    def chunk(image, level):
        Path(f"a.zarr/{image}.0.0").write_bytes(bytes([level] * 64))

    described = {"zarr_format": 2, "shape": [3, 8, 8], "chunks": [1, 8, 8], "dtype": "|u1"}
    described |= {"compressor": None, "fill_value": 0, "order": "C", "filters": None}
    Path("a.zarr").mkdir()
    Path("a.zarr/.zarray").write_text(json.dumps(described))
    for image in range(3):
        chunk(image, 200)
    words = ("compress", models["grey"], "a.zarr", "--shard", "1/1", "--json")
    size = 3 * 64 + len(json.dumps(described))
    assert run(*words).json["bytes_before"] == size
    assert run(*words).json["skipped"] == ["a.zarr.pxc"]
    chunk(1, 100)
    later = Path("a.zarr.pxc").stat().st_mtime + 1
    os.utime("a.zarr/1.0.0", (later, later))
    assert run(*words).json["written"] == ["a.zarr.pxc"], "the folder itself has not changed"


def test_shards_replace_no_whole_file_of_something_else(run, models):
    for number in range(2):
        save(f"in/{number}.png", np.full((8, 8), number, np.uint8))
    run("compress", models["grey"], "in", "-o", "in/0.png.pxc")
    both = Path("in/0.png.pxc").read_bytes()
    assert "there already" in run("compress", models["grey"], "in", "--shard", "1/2", code=2).error
    assert Path("in/0.png.pxc").read_bytes() == both
    run("compress", models["grey"], "in", "--shard", "2/2")
    assert "there already" in run("compress", models["eight"], "in", "--shard", "2/2", code=2).error
    assert run("compress", models["grey"], "in", "--shard", "1/2", "-f").stdout


def test_shards_that_are_done_say_no_size(run, models):
    save("in/0.png", np.zeros((8, 8), np.uint8))
    run("compress", models["grey"], "in", "--shard", "1/1")
    assert "->" not in run("compress", models["grey"], "in", "--shard", "1/1").stderr


def test_datasets_of_hugging_face_are_no_files(run, models):
    assert "hf:mnist is no file" in run("compress", models["grey"], "hf:mnist", code=2).error


def test_pipes_carry_both(run, models, capfdbinary):
    def piped(command, content):
        done = CliRunner().invoke(app, [command, str(models["grey"]), "-"], input=content)
        assert done.exit_code == 0, done.stderr
        return capfdbinary.readouterr().out

    buffer = io.BytesIO()
    np.save(buffer, np.arange(64, dtype=np.uint8).reshape(1, 8, 8))
    packed = piped("compress", buffer.getvalue())
    assert piped("decompress", packed) == buffer.getvalue()
    Path("s.pxc").write_bytes(packed)
    run("decompress", models["grey"], "s.pxc")
    assert Path("s.npy").read_bytes() == buffer.getvalue()


def test_lists_and_arrays_of_python_come_back_as_arrays(run, models):
    model = px.load(models["grey"])
    images = [np.zeros((1, 8, 8), np.uint8), np.ones((1, 3, 2), np.uint8)]
    Path("l.pxc").write_bytes(px.compress(model, images))
    Path("a.pxc").write_bytes(px.compress(model, np.stack(images[:1])))
    run("decompress", models["grey"], "l.pxc", "a.pxc", "-o", "out")
    assert sorted(os.listdir("out/l")) == ["0000-0000.npy", "0001-0000.npy"]
    assert np.load("out/a.npy").shape == (1, 1, 8, 8)
    save("p.png", np.full((8, 8), 7, np.uint8))
    run("compress", models["grey"], "p.png")
    (found,) = px.decompress(model, Path("p.png.pxc").read_bytes())
    assert (found == 7).all() and found.shape == (1, 8, 8)


def test_what_is_not_there_or_empty_is_said(run, models, here):
    Path("empty").mkdir()
    assert "holds no images" in run("compress", models["grey"], "empty", code=3).error
    run("compress", models["grey"], "gone.png", code=3)
    Path("zero.png").touch()
    assert run("compress", models["grey"], "zero.png", code=3).error == "zero.png is empty"
    Path("text.png").write_text("no picture")
    assert "not an image" in run("compress", models["grey"], "text.png", code=3).error
    save("a/x.png", np.zeros((8, 8), np.uint8))
    shutil.copytree("a", "b/a")
    found = run("compress", models["grey"], "a", "b/a", "-o", "t.pxc", code=2)
    assert "two inputs would both come back as a/x.png" in found.error
    assert not list(Path().glob("*.pxc"))


@pytest.mark.slow
def test_a_terminal_gets_no_bytes_and_no_bar_that_stays(models, here):
    np.save("a.npy", np.zeros((3, 8, 8), np.uint8))
    program = [sys.executable, "-m", "pixelcnn"]
    refused = in_terminal([*program, "compress", models["grey"], "a.npy", "-c"], folder=here)
    assert refused.code == 2 and "is a terminal" in refused.text
    found = in_terminal([*program, "compress", models["grey"], "a.npy"], folder=here)
    assert found.code == 0 and found.lines[-1] == "a.npy.pxc" and len(found.lines) == 2


def test_what_cannot_be_compressed_is_told_in_a_sentence(run, models, here):
    (here / "torn.jpg").write_bytes(b"\xff\xd8")
    assert run("compress", models["grey"], "torn.jpg", code=3).error.startswith("torn.jpg is ")
    np.save("film.npy", np.zeros((2, 3, 8, 8, 1), np.uint8))
    error = run("compress", models["grey"], "film.npy", code=4).error
    assert error == "film.npy of shape (2, 3, 8, 8, 1) holds no images of 1 channel"
    Path("table.csv").write_text("1,2,3,4\n")
    told = run("compress", models["grey"], "table.csv", code=2)
    assert told.error == "table.csv is a table, and would come back as none"
    assert told.hint == "save its images as .npy, and compress that"


def test_what_compress_left_in_a_folder_is_no_remark_and_no_input(run, models, here):
    (here / "scans").mkdir()
    Image.new("L", (8, 8)).save(here / "scans/a.jpg")
    for _ in range(2):
        said = run("compress", models["grey"], "scans", "--shard", "1/1").stderr
        assert "left out" not in said
    error = run("compress", models["grey"], "scans/a.jpg.pxc", code=2).error
    assert error == "a.jpg.pxc is compressed already"


def test_two_files_never_come_back_as_one(run, models, here):
    model = models["grey"]
    for value in (0, 1):
        Image.new("L", (8, 8), value).save(here / f"{value}.png")
        run("compress", model, f"{value}.png")
    outcome = run("decompress", model, "0.png.pxc", "1.png.pxc", "-f", "-o", "x.png", code=2)
    assert outcome.error == "two files would come back as x.png"
    assert outcome.hint == "-o FOLDER/ takes all" and not (here / "x.png").exists()
    (here / "-").mkdir()
    run("decompress", model, "0.png.pxc", "-c")
    assert not list((here / "-").iterdir())


def test_values_that_levels_would_not_tell_apart_are_named(run, models, here):
    np.save("a.npy", np.array([0, 31, 255] * 21 + [0], np.uint8).reshape(8, 8))
    error = run("compress", models["eight"], "a.npy", code=4).error
    assert error == "a.npy has the values 0 and 31, which are the same one of this model's 8 levels"
