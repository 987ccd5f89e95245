"""What a model file says of its training: used where it is what it should be, else refused.

The campaign ``records`` of ``tests.fuzz`` tries odd ones on every command that reads them.
"""

import json
from contextlib import suppress

import numpy as np
import pytest

from forgery import forged
from pixelcnn import PixelModel, checkpoint, load, networks, outputs, record, save
from pixelcnn.errors import ModelError
from pixelcnn.record import checked
from pixelcnn.sources import source_levels

WHOLE = {
    "recipe": "digits",
    "data": {"name": "digits", "levels": 2, "labels": True},
    "split": {"train": "standard train", "val": "standard val"},
    "images": {"train": 1297, "val": 200},
    "content_hash": {"train": "aa", "val": "bb"},
    "binarisation": "none",
    "quantisation": "2 equal bins",
    "skipped": 0,
    "levels": 2,
    "classes": ["0", "1"],
    "seed": 0,
    "training": {"epochs": 1},
    "versions": {"torch": "2.11"},
    "steps": 10,
    "epochs": 1.5,
    "images_seen": 100,
    "parent": {"recipe": "digits", "steps": 5, "fingerprint": "cc"},
    "validation": {
        "nats_per_image": 20.5,
        "stderr": 0.5,
        "bits_per_dim": 0.46,
        "images": 200,
        "precision": "32",
    },
    "validation_quantiles": [1.0, 20.0, 20.0, 40.0],
    "activation_ranges": [1.0, 0.5],
    "integer_precision": "single",
    "integer_loss": 0.001,
}
ODD = {
    "null": "null",
    "true": "true",
    "minus one": "-1",
    "zero": "0",
    "half": "0.5",
    "huge": str(10**30),
    "overflow": "1e999",
    "NaN": "NaN",
    "infinity": "-Infinity",
    "digits": "1" * 4301,
    "empty": '""',
    "escapes": json.dumps("\x1b]0;x\x07\n\r\u202e"),
    "surrogate": '"\\ud800"',
    "long": json.dumps("x" * 10**6),
    "path": json.dumps("../../etc"),
    "list": "[]",
    "numbers": "[3, 2, 1]",
    "texts": '["a", "\\u0000"]',
    "mixed": '[1, "a", null, {}]',
    "object": "{}",
    "nested": '{"name": {"name": []}, "bits_per_dim": []}',
    "deep": "[" * 150 + "]" * 150,
    "deeper": "[" * 900 + "]" * 900,
    "deepest": "[" * 100_000 + "]" * 100_000,
    "twice": '{"name": 1, "name": 2}',
}
"""Values of every kind, as they stand in a file."""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    network = networks.PixelCNN(1, 2, width=2, depth=0, condition="label", condition_size=2)
    model = PixelModel(network, outputs.Categorical(levels=2), (1, 8, 8))
    model.record = WHOLE
    path = tmp_path_factory.mktemp("record") / "model.safetensors"
    save(model, path)
    return path


def test_a_record_of_the_expected_types_comes_back_as_it_was(file):
    assert load(file).record == WHOLE | {"weights": "raw"}


def test_keys_that_nobody_knows_are_kept():
    later = {"later": [1, {"deep": "value"}], "training": {"new": [None]}}
    assert record.checked(later) == later


def test_a_model_chooses_no_place_to_read_from():
    for name in ("/etc/passwd", "../x", "a\\b"):
        with pytest.raises(ModelError, match=r"record\.data\.name must be .* a name, not a path"):
            record.checked({"data": {"name": name}})
    assert record.checked({"data": {"name": "digits", "root": "/etc", "download": True}}) == {
        "data": {"name": "digits"}
    }


def paths(value, before=()):
    """The way to every value of a record."""
    for key, item in value.items() if isinstance(value, dict) else ():
        yield (*before, key)
        yield from paths(item, (*before, key))


@pytest.mark.parametrize("key", [".".join(path) for path in paths(WHOLE)])
def test_a_key_holds_what_its_readers_expect_or_the_file_is_refused(file, tmp_path, key):
    for odd in ODD.values():
        forged(file, tmp_path / "m.safetensors", {f"record.{key}": odd})
        with suppress(ModelError):
            found = load(tmp_path / "m.safetensors").record
            assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    "value", [{"steps": "many"}, {"classes": 5}, {"validation_quantiles": [2, 1]}, {"x": np.nan}]
)
def test_a_record_that_could_not_be_read_again_is_not_written(file, tmp_path, value):
    model = load(file)
    model.record = value
    with pytest.raises(ModelError, match="record"):
        save(model, tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


def test_what_a_record_holds_in_python_types_is_written_in_those_of_json(file, tmp_path):
    model = load(file)
    model.record = {"classes": ("a", "b"), "validation_quantiles": list(np.linspace(0, 1, 5))}
    save(model, tmp_path / "m.safetensors")
    found = checkpoint.describe(tmp_path / "m.safetensors")["record"]
    assert found["classes"] == ["a", "b"]


@pytest.mark.parametrize(
    ("found", "levels"),
    [
        ({"source_levels": 4096, "quantisation": "256 -> 2 equal bins"}, 4096),
        ({"data": {"source_levels": 320}}, 320),
        ({"quantisation": "4096 -> 8 equal bins"}, 4096),
        ({"binarisation": "fixed", "data": {"name": "binarized-mnist"}}, 8),
        ({}, 8),
        ({"binarisation": "threshold 0.33", "data": {"name": "mnist"}}, 256),
        ({"binarisation": "dynamic", "data": {"name": "digits"}}, 17),
        ({"data": {"name": "scans.npy", "binarise": "dynamic"}}, 256),
        ({"data": {}, "quantisation": "none"}, 8),
    ],
)
def test_older_records_say_what_the_stored_values_were(found, levels):
    assert source_levels(checked(found), 8) == levels


def test_the_shipped_model_takes_values_as_it_did():
    found = checkpoint.describe("mnist")["record"]
    assert source_levels(found, found["levels"]) == 2
