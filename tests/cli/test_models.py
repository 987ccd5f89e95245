"""``pixelcnn verify`` and ``pixelcnn info``, and files that are no models."""

import json
import struct

import pytest

from cli.conftest import RECIPE
from forgery import put_together
from pixelcnn import data, verify
from pixelcnn.cli import inventory, models
from pixelcnn.data.sets import FACTS


def test_verify_shows_every_promise(run, model):
    text, found = run("verify", model).stdout, run("verify", model, "--json").json
    assert "kept" in text and "BROKEN" not in text
    assert found["passed"] is True and all(row["name"] in text for row in found["rows"])


def test_a_broken_promise_is_exit_1(run, model, monkeypatch):
    from pixelcnn.verify.report import Report, Row

    broken = Report("m", (Row("no output sees its future", False, "it does", 0.0),))
    monkeypatch.setattr(verify, "check_model", lambda *_, **__: broken)
    assert "BROKEN" in run("verify", model, code=1).stdout
    assert run("verify", model, "--json", code=1).json["passed"] is False


def test_info_lists_everything(run):
    found = run("info", "--json").json
    assert set(found) >= {"recipes", "networks", "outputs", "datasets", "models", "engine"}
    assert "digits" in found["recipes"]
    assert "gated-pixelcnn" in found["networks"]
    assert "categorical" in found["outputs"]
    assert found["datasets"] == list(data.DATASETS)
    text = run("info").stdout
    assert all(name in text for name in [*found["recipes"], *found["networks"], found["engine"]])


def test_info_about_a_recipe_needs_no_data(run, monkeypatch):
    monkeypatch.delenv("PIXELCNN_DATA", raising=False)
    found = run("info", "keras-mnist", "--json").json
    assert found["parameters"] == 532_673
    assert found["live_parameters"] < found["parameters"]
    assert (found["shape"], found["levels"]) == ([1, 28, 28], 2)
    assert found["network"] == "pixelcnn"
    assert found["receptive_field"]["blind_spot"] == found["blind_spot"] > 0


@pytest.mark.parametrize("named", [[], ["gated-pixelcnn"], ["binarized-mnist"]], ids=str)
def test_an_option_that_nothing_is_shown_for_is_refused(run, named):
    assert "recipes" in run("info", *named, "--size", "5x7", code=2).error
    assert "recipes and models" in run("info", *named, "--program", code=2).error


def test_the_layer_table_adds_up(run, model):
    found = run("info", model, "--json").json
    assert sum(layer["parameters"] for layer in found["layers"]) == found["parameters"]
    assert sum(layer["live"] for layer in found["layers"]) == found["live_parameters"]
    assert found["layers"][-1]["shape"] == [17, 8, 8]
    text = run("info", model).stdout
    assert f"{found['parameters']:,}" in text
    assert "digits" in text


def test_info_shows_the_program_on_request(run, model):
    shown = run("info", model, "--program", "--json").json
    assert shown["engine"] in ("cached", "native")
    assert shown["program"][0] == "%0 = input() -> 1"
    assert "taps(%0)" in run("info", model, "--program").stdout


def test_info_about_a_model_computes_where_its_blank_images_are(run, model, monkeypatch):
    devices, load = [], models.load

    def loaded(name, *, device=None):
        devices.append(device)
        return load(name, device=device)

    monkeypatch.setattr(models, "load", loaded)
    run("info", model)
    run("info", model, "--program")
    assert devices == ["cpu", None], "which of the engines runs is a matter of the device"


def test_info_for_another_size(run):
    found = run("info", "chainer-colour-mnist", "--size", "5x7", "--json").json
    assert (found["shape"], found["levels"]) == ([3, 5, 7], 8)


def test_info_about_a_network(run):
    assert "depth" in run("info", "gated-pixelcnn").stdout
    assert run("info", "categorical", "--json").json["arguments"]["levels"] == 256


@pytest.mark.parametrize("name", data.DATASETS)
def test_info_about_a_data_set_needs_no_data(run, name, monkeypatch):
    monkeypatch.delenv("PIXELCNN_DATA", raising=False)
    facts = FACTS[name]
    shape = f"{facts.channels}x{facts.height}x{facts.width}"
    outcome = run("info", name)
    assert shape in outcome.stdout + outcome.stderr
    assert f"{facts.levels} levels" in outcome.stdout + outcome.stderr


def test_info_says_what_a_data_set_holds(run):
    found = run("info", "binarized-mnist", "--json").json
    assert (found["kind"], found["shape"], found["classes"]) == ("data set", [1, 28, 28], 0)
    digits = data.load("digits")
    assert FACTS["digits"].images == tuple(map(len, digits))


def test_info_about_every_name_that_it_lists(run):
    listed = run("info", "--json").json
    for kind in ("networks", "outputs", "datasets", "models"):
        for name in listed[kind]:
            run("info", name)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("keras-minst", "keras-mnist"),
        ("cifar10", "cifar-10"),
        ("gated-pixelcn", "gated-pixelcnn"),
        ("bernouli", "bernoulli"),
        ("mnis", "mnist"),
    ],
)
def test_info_suggests_the_near_name(run, name, near):
    outcome = run("info", name, code=2)
    assert name in outcome.error
    assert f"Did you mean '{near}'?" in outcome.error


def test_info_about_nothing(run):
    assert "zebra" in run("info", "zebra", code=2).error
    assert "zebra.safetensors" in run("info", "zebra.safetensors", code=4).error


def test_stand_ins_follow_what_the_recipe_makes_of_the_data():
    blank = inventory.stand_in({"name": "cifar-10", "grey": True, "size": [5, 7]})
    assert blank.shape == (1, 5, 7)
    assert inventory.stand_in({"name": "cifar-10", "size": 5}, (3, 2)).shape == (3, 3, 2)
    assert inventory.stand_in({"source_levels": 512}).levels == 512
    assert inventory.stand_in({"source_levels": 512, "levels": 8}).levels == 8


@pytest.mark.parametrize(("kind", "tail"), [("vector", ()), ("map", (5, 7))])
def test_info_about_a_recipe_of_vectors_or_maps_needs_no_data(run, here, kind, tail):
    text = RECIPE.replace("depth = 1", f'depth = 1\ncondition = "{kind}"')
    (here / "told.toml").write_text(text)
    assert f"{kind} of 1 feature\n" in run("info", "told.toml", "--size", "5x7").stdout
    blank = inventory.stand_in({"condition": "mass,age", "size": [5, 7]}, kind=kind)
    assert blank.condition.shape == (1, 2, *tail)


OFFICIAL = [pytest.param(n, marks=pytest.mark.slow) for n in data.DATASETS if n != "digits"]


@pytest.mark.parametrize("name", ["digits", *OFFICIAL])
def test_stand_ins_are_like_the_data(name, request):
    if name != "digits":
        request.getfixturevalue("data_root")
    known, blank = data.load(name).train, inventory.stand_in({"name": name})
    assert (blank.shape, blank.levels) == (known.shape, known.levels)
    assert blank.label_count == known.label_count


# ------------------------------------------------------------ files that are no models


def header(**changes):
    return put_together(json.dumps(changes), {}, b"")


def damaged(model):
    """Files that are no models, by what is wrong with them."""
    good = model.read_bytes()
    (length,) = struct.unpack("<Q", good[:8])
    return {
        "empty": b"",
        "text": b"hello, world, this is no model" * 10,
        "zip": b"PK\x03\x04" + bytes(200),
        "cut in the header": good[: length // 2],
        "cut in the weights": good[:-100],
        "longer": good + b"more",
        "another weight": good[:-1] + bytes([good[-1] ^ 1]),
        "another header": good[:8] + good[8 : 8 + length].replace(b"pixelcnn", b"pixelxxx", 1)
        + good[8 + length :],
        "huge header": struct.pack("<Q", 2**62) + good[8:],
        "no config": header(format=1),
        "format of the future": header(format=99, config={}, record={}),
        "huge network": header(
            format=1,
            record={},
            config={
                "network": {"name": "pixelcnn", "channels": 1, "out": 1, "width": 10**9},
                "output": {"name": "bernoulli"},
                "shape": [1, 8, 8],
            },
        ),
        "deep nesting": header(format=1, config=[[[[[[]]]]]], record=3),
    }  # fmt: skip


@pytest.mark.parametrize("command", ["sample", "verify", "info"])
def test_files_that_are_no_models(run, model, here, command):
    for what, content in damaged(model).items():
        (here / "m.safetensors").write_bytes(content)
        outcome = run(command, "m.safetensors", code=4)
        assert "m.safetensors" in outcome.error, what
        assert len(outcome.stderr.splitlines()) <= 2, what


def test_missing_models(run, here):
    assert "nothing" in run("sample", "nothing", code=4).error
    assert "called" in run("sample", "x" * 300, code=4).error, "too long for a file"
    assert "called" in run("info", "x" * 300 + ".safetensors", code=4).error
    assert "called" in run("info", "x" * 300, code=2).error
    (here / "folder").mkdir()
    assert "best.safetensors" in run("evaluate", "folder", code=4).error


MODEL_COMMANDS = [
    ("evaluate",), ("sample",), ("complete", "x.png"), ("score", "x.png"), ("verify",),
]  # fmt: skip


@pytest.mark.parametrize("words", MODEL_COMMANDS, ids=lambda words: words[0])
def test_a_name_that_is_no_model_is_told_apart(run, words):
    command, *rest = words
    recipe = run(command, "fashion-mnist", *rest, code=4)
    assert recipe.error == "fashion-mnist is a recipe and a data set, not a model"
    assert "pixelcnn train fashion-mnist" in recipe.hint
    assert "data set" in run(command, "binarized-mnist", *rest, code=4).error
    assert "is a network" in run(command, "gated-pixelcnn", *rest, code=4).error
    assert "is an output" in run(command, "bernoulli", *rest, code=4).error


def test_a_missing_model_points_to_the_run_folders(run, model, here):
    (here / "runs/shapes-shapes").mkdir(parents=True)
    (here / "runs/shapes-shapes/best.safetensors").write_bytes(model.read_bytes())
    assert run("sample", "shapes", code=4).hint == "give its run folder: runs/shapes-shapes"
    outcome = run("sample", "runs/shapes", code=4)
    assert "Did you mean 'runs/shapes-shapes'?" in outcome.error
    assert "runs/shapes-shapes" in run("sample", "runs", code=4).hint


def test_a_run_folder_is_a_model(run, model, here):
    (here / "run").mkdir()
    (here / "run/best.safetensors").write_bytes(model.read_bytes())
    assert run("info", "run", "--json").json["parameters"] > 0
