"""``pixelcnn evaluate`` and ``pixelcnn score``."""

import csv
import json
import re

import numpy as np
import pytest
import torch

from forgery import forged
from pictures import save_pictures
from pixelcnn import checkpoint, data, scoring, sources
from pixelcnn.errors import DataError
from pixelcnn.training.likelihood import Validation

KEYS = {
    "nats_per_image", "stderr", "bits_per_dim", "bits_per_dim_stderr", "images", "dimensions", "data",
    "split", "levels", "parameters",
}  # fmt: skip


def test_evaluate_uses_the_data_of_the_record(run, model):
    found = run("evaluate", model, "--json").json
    assert set(found) >= KEYS
    score = scoring.evaluate(checkpoint.load(model), data.load("digits").test)
    assert found == score.as_json()
    assert (found["data"], found["split"], found["images"]) == ("digits", "test", 300)


def test_evaluate_rounds_to_the_errors(run, model):
    words = ("evaluate", model, "--split", "val", "--limit", 20)
    found, text = run(*words, "--json").json, run(*words).stdout
    assert "20 of digits (val)" in text
    for name, key, stderr in (
        ("nats/image", "nats_per_image", "stderr"),
        ("bits/dim", "bits_per_dim", "bits_per_dim_stderr"),
    ):
        value, error = re.search(rf"^{name} +([\d.]+) ± ([\d.]+)$", text, re.MULTILINE).groups()
        digits = len(value.partition(".")[2])
        assert len(error.replace(".", "").lstrip("0")) <= 2
        assert float(value) == round(found[key], digits)
        assert float(error) == round(found[stderr], digits)
    assert found["bits_per_dim_stderr"] == pytest.approx(found["stderr"] / 64 / np.log(2))


def test_one_image_has_no_error(run, model):
    assert "±" not in run("evaluate", model, "--limit", 1).stdout
    found = run("evaluate", model, "--limit", 1, "--json").json
    assert found["bits_per_dim_stderr"] is None
    score = scoring.evaluate(checkpoint.load(model), data.load("digits").test, limit=1)
    assert np.isnan(score.stderr)
    assert json.loads(json.dumps(score.as_json(), allow_nan=False)) == found


def test_evaluate_gives_other_data_the_models_levels(run, model):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype(np.uint8)
    np.save("own.npy", images)
    command = ("evaluate", model, "--data", "own.npy", "--split", "all", "--json")
    assert "--source-levels" in run(*command, code=3).hint  # those of training were 17
    found = run(*command, "--source-levels", 256).json
    assert (found["images"], found["levels"], found["data"]) == (40, 17, "own.npy")


RAMP = np.arange(64).reshape(1, 8, 8)
FORMS = {
    "npy": lambda name, values: np.save(name, values.astype(np.uint16)),
    "npz": lambda name, values: np.savez(name, values.astype(np.int64)),
    "csv": lambda name, values: np.savetxt(name, values.reshape(-1, 64), "%d", ","),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "source", [{"source_levels": 4096}, {"quantisation": "4096 -> 17 equal bins"}]
)
def test_the_score_of_an_image_depends_on_no_other(run, tiny, here, form, source):
    made = tiny()
    made.record = {"data": {"name": "train.npy", "levels": 17}} | source
    model, bright = saved(made, here), np.full_like(RAMP, 4095)
    FORMS[form](f"alone.{form}", RAMP * 20)
    FORMS[form](f"both.{form}", np.concatenate([RAMP * 20, bright]))
    FORMS[form](f"dark.{form}", RAMP // 8)
    alone, both = (run("score", model, f"{n}.{form}").rows for n in ("alone", "both"))
    assert alone[0] | {"name": ""} == both[0] | {"name": ""}
    levels = torch.from_numpy(RAMP * 20 * 17 // 4096)[:, None]
    assert float(alone[0]["nats"]) == pytest.approx(float(scoring.score(made, levels)), abs=1e-4)
    done = {}
    for name in ("alone", "both"):
        run("complete", model, f"{name}.{form}", "-n", 1, "--out", f"{name}-done.npz")
        with np.load(f"{name}-done.npz") as found:
            done[name] = found["images"][0]
            assert found["levels"] == 17
    assert np.array_equal(done["alone"], done["both"])
    assert "count as dark ones of 4096" in run("score", model, f"dark.{form}").stderr
    assert "dark" not in run("score", model, f"dark.{form}", "--source-levels", 17).stderr


def test_levels_that_sample_wrote_are_scored_as_they_are(run, tiny, here):
    made = tiny()
    made.record = {"data": {"name": "train.npy", "levels": 17}, "source_levels": 256}
    model = saved(made, here)
    run("sample", model, "-n", 2, "--out", "new.npz")
    found = run("score", model, "new.npz").rows
    with np.load("new.npz") as drawn:
        nats = scoring.score(made, drawn["images"])
    assert [float(row["nats"]) for row in found] == pytest.approx(nats.tolist(), abs=1e-4)


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("--split", "half"), 2, "half"),
        (("--data", "cifar-100"), 2, "cifar-100"),
        (("--size", "big"), 2, "32x48"),
        (("--weights", "heavy"), 2, "heavy"),
        (("--layout", "n h w"), 2, "layout"),
    ],
)
def test_evaluate_refuses(run, model, words, code, error):
    assert error in run("evaluate", model, *words, code=code).error


def test_evaluate_needs_data_that_it_can_find(run, tiny, here):
    made = tiny()
    made.record["data"] = {"name": "photos"}
    checkpoint.save(made, here / "m.safetensors")
    outcome = run("evaluate", "m.safetensors", code=2)
    assert "photos" in outcome.error
    assert "--data" in outcome.hint
    made.record = {}
    checkpoint.save(made, here / "m.safetensors")
    assert "--data" in run("evaluate", "m.safetensors", code=2).hint


@pytest.mark.parametrize(
    "name", ["photos", "./photos", "PHOTOS", "/dev/zero", "", None, 7, ["digits"]]
)
def test_a_record_does_not_choose_a_path(run, tiny, here, picture, name):
    (here / "photos").mkdir()
    picture("photos/1.png")
    made = tiny()
    made.record["data"] = {"name": "photos"}
    checkpoint.save(made, here / "m.safetensors")
    value = json.dumps(str(here / "photos") if name == "PHOTOS" else name)
    forged(here / "m.safetensors", here / "m.safetensors", {"record.data.name": value})
    outcome = run("evaluate", "m.safetensors", "--split", "all", code=None)
    assert (outcome.code == 2 and "--data" in outcome.hint) or "record.data.name" in outcome.error


def test_settings_of_an_honest_record_are_kept(tiny):
    made = tiny()
    honest = {"name": "mnist", "threshold": 0.33, "rgb": True, "split": "tutorial", "fit": "pad"}
    made.record["data"] = honest
    assert sources.recorded(made) == honest
    made.record["data"] = honest = {"name": "digits", "levels": 4, "binarise": "dynamic"}
    assert sources.recorded(made) == honest


def saved(made, here):
    """The path of a model, written."""
    checkpoint.save(made, here / "m.safetensors")
    return "m.safetensors"


def test_images_of_another_shape_or_of_other_channels_are_a_mismatch(run, model):
    np.save("wide.npy", np.zeros((4, 8, 9), np.uint8))
    assert "8" in run("score", model, "wide.npy", code=4).error
    run("evaluate", model, "--data", "wide.npy", "--split", "all", code=4)
    np.save("colour.npy", np.zeros((4, 3, 8, 8), np.uint8))
    assert "8" in run("score", model, "colour.npy", "--layout", "n c h w", code=4).error


def test_an_ambiguous_layout_asks(run, tiny, here):
    checkpoint.save(tiny((3, 3, 3)), here / "m.safetensors")
    images = np.random.default_rng(0).integers(0, 17, (4, 3, 3, 3)).astype(np.uint8)
    np.save("cube.npy", images)
    outcome = run("score", "m.safetensors", "cube.npy", code=3)
    assert "layout" in outcome.error + outcome.hint
    (first, *_) = run("score", "m.safetensors", "cube.npy", "--layout", "n c h w").rows
    nats = scoring.score(checkpoint.load(here / "m.safetensors"), images)
    assert float(first["nats"]) == pytest.approx(float(nats[0]), abs=1e-3)


def test_score_writes_one_row_an_image(run, model, here):
    images = torch.randint(17, (5, 1, 8, 8), dtype=torch.uint8)
    np.save("own.npy", images.numpy())
    outcome = run("score", model, "own.npy", "--out", "scores.csv")
    assert outcome.stdout == "scores.csv\n"
    found = list(csv.DictReader((here / "scores.csv").read_text().splitlines()))
    loaded = checkpoint.load(model)
    nats = scoring.score(loaded, images)
    ranks = scoring.percentiles(loaded, nats)
    png = scoring.png_nats(images, 17)
    assert list(found[0]) == ["name", "nats", "bits_per_dim", "percentile", "nats_minus_png"]
    for index, row in enumerate(found):
        assert float(row["nats"]) == pytest.approx(float(nats[index]), abs=1e-3)
        assert float(row["bits_per_dim"]) == pytest.approx(
            float(nats[index]) / 64 / np.log(2), abs=1e-3
        )
        assert float(row["percentile"]) == pytest.approx(float(ranks[index]), abs=0.01)
        assert float(row["nats_minus_png"]) == pytest.approx(
            float(nats[index] - png[index]), abs=1e-3
        )


def test_score_as_json_is_the_rows_and_their_mean(run, model):
    np.save("own.npy", np.arange(5 * 64).reshape(5, 8, 8).astype(np.uint8) % 17)
    found = run("score", model, "own.npy", "--json").json
    table = run("score", model, "own.npy").rows
    assert [list(row) for row in found["rows"]] == [list(row) for row in table]
    for ours, theirs in zip(found["rows"], table, strict=True):
        assert ours["name"] == theirs["name"]
        assert f"{ours['nats']:.4f}" == theirs["nats"]
        assert f"{ours['percentile']:.2f}" == theirs["percentile"]
    nats = [row["nats"] for row in found["rows"]]
    assert found["nats_per_image"] == pytest.approx(np.mean(nats))
    assert found["stderr"] == pytest.approx(np.std(nats, ddof=1) / np.sqrt(5))
    assert (found["images"], found["data"], found["shard"]) == (5, "own.npy", None)


def test_score_as_json_beside_a_file_names_the_file(run, model, here):
    np.save("own.npy", np.zeros((3, 8, 8), np.uint8))
    found = run("score", model, "own.npy", "--json", "--out", "new/scores.csv").json
    assert (found["files"], found["images"]) == (["new/scores.csv"], 3)
    assert "rows" not in found
    assert len((here / "new/scores.csv").read_text().splitlines()) == 1 + 3


@pytest.mark.parametrize(
    ("validation", "scores", "expected"),
    [
        ([1.0, 2.0, 3.0], [0.5, 1.0, 2.0, 2.5, 3.0, 9.0], [0, 0, 50, 75, 100, 100]),
        ([5.0], [4.9, 5.0, 5.00001, 5.1], [0, 50, 50, 100]),  # of one image
        ([4.0, 4.0, 4.0, 9.0], [3.0, 4.0, 9.0], [0, 33, 100]),
        (range(201), [3.0, 150.0], [1.5, 75]),
    ],
)
def test_a_percentile_is_the_share_of_likelier_validation_images(
    tiny, validation, scores, expected
):
    loaded, nats = tiny(), np.array(list(validation), dtype=np.float64)
    loaded.record = {"validation_quantiles": Validation(nats, 35).quantiles}
    kept = torch.nn.Parameter(
        torch.tensor(scores, dtype=torch.float64)
    )  # of a likelihood with a gradient
    for given in (kept, np.array(scores), scores):
        assert scoring.percentiles(loaded, given).tolist() == pytest.approx(expected)
    with pytest.raises(DataError, match="scores are nats"):
        scoring.percentiles(loaded, "scores.csv")


def test_images_of_which_none_is_as_likely_as_those_that_validated_are_told_of(run, here):
    """As digits in dark ink on white paper are for a model of light ones on black."""
    digits = data.load("digits").test.images[:6].numpy()
    noise = np.random.default_rng(0).integers(0, 17, digits.shape)
    images = {"own": digits, "inverted": 16 - digits, "noise": noise}
    said = {}
    for name, levels in images.items():
        np.savez(name, images=levels, levels=17)
        said[name] = run("score", "digits", f"{name}.npz").stderr
    assert "less likely than any" not in said["own"]
    assert "less likely than any of its validation images (112 nats" in said["inverted"]
    assert "less likely than any" in said["noise"]
    assert "dark and light exchanged they take 79 nats" in said["inverted"]
    assert "exchanged" not in said["noise"]


@pytest.mark.parametrize("count", [1, 3, 7, 9])
def test_shards_together_are_the_whole(run, model, count):
    np.save("own.npy", np.arange(7 * 64).reshape(7, 8, 8).astype(np.uint8) % 17)
    whole = run("score", model, "own.npy").rows
    shards = [
        run("score", model, "own.npy", "--shard", f"{index}/{count}").rows
        for index in range(1, count + 1)
    ]
    together = [row for shard in shards for row in shard]
    assert [row["name"] for row in together] == [row["name"] for row in whole]
    for ours, theirs in zip(together, whole, strict=True):
        assert float(ours["nats"]) == pytest.approx(float(theirs["nats"]), abs=1e-3)
    sizes = [len(shard) for shard in shards]
    assert max(sizes) - min(sizes) <= 1


def test_a_shard_of_files_keeps_their_names(run, model, here, picture):
    (here / "photos").mkdir()
    for name in "cab":
        picture(f"photos/{name}.png")
    found = run("score", model, "photos", "--shard", "3/3", "--json").json
    assert [row["name"] for row in found["rows"]] == ["c.png"]


@pytest.mark.parametrize("shard", ["0/4", "5/4", "1/0", "1", "a/b", "-1/2", "1/2/3", "1.5/2"])
def test_a_shard_that_is_no_part_is_refused(run, model, shard):
    outcome = run("score", model, "digits", f"--shard={shard}", code=2)
    assert "--shard" in outcome.error
    assert outcome.stdout == ""


def test_score_refuses_a_folder_before_it_starts(run, model, here):
    (here / "taken").mkdir()
    assert "taken is a folder" in run("score", model, "nowhere", "--out", "taken", code=2).error


def test_without_validation_scores_the_percentile_is_empty_or_null(run, tiny, here):
    made = tiny()
    made.record = {}
    checkpoint.save(made, here / "m.safetensors")
    np.save("own.npy", np.zeros((1, 8, 8), np.uint8))
    outcome = run("score", "m.safetensors", "own.npy")
    assert outcome.rows[0]["percentile"] == ""
    assert "percentile" in outcome.stderr
    (row,) = run("score", "m.safetensors", "own.npy", "--json").json["rows"]
    assert row["percentile"] is None


def test_class_conditional_models_are_scored_with_the_images_labels(run, labelled):
    images = torch.randint(17, (3, 1, 8, 8), dtype=torch.uint8)
    np.savez("with.npz", images=images.numpy(), labels=np.array([2, 0, 1]))
    np.savez("without.npz", images=images.numpy())
    found = run("score", labelled, "with.npz").rows
    nats = scoring.score(checkpoint.load(labelled), images, torch.tensor([2, 0, 1]))
    assert float(found[0]["nats"]) == pytest.approx(float(nats[0]), abs=1e-3)
    assert "label" in run("score", labelled, "without.npz", code=4).error


@pytest.mark.parametrize("needed", [False, True])
def test_labels_that_nobody_asked_for_keep_no_image_from_being_read(run, labelled, model, needed):
    images = checkpoint.load(model).levels - 1 - np.zeros((3, 8, 8), np.uint8)
    np.savez("odd.npz", images=images, labels=np.full((3, 2), 0.5))
    np.save("none.npy", images)
    one, for_all = (labelled, ("--label", "dog")) if needed else (model, ())
    for command in ("score", one), ("evaluate", one, "--split", "all", "--data"):
        told, plain = (
            run(*command, file, *for_all, "--json").json["nats_per_image"]
            for file in ("odd.npz", "none.npy")
        )
        assert told == plain
    run("complete", one, "odd.npz", *for_all, "-n", 1)
    assert "labels are integers" in run("score", labelled, "odd.npz", code=3).error


def test_labels_that_are_words_are_the_classes_that_the_model_calls_so(run, labelled):
    images, classes = np.zeros((2, 8, 8), np.uint8), checkpoint.load(labelled).record["classes"]
    np.savez("words.npz", images=images, labels=np.array(classes[::-1][:2]))
    np.savez("numbers.npz", images=images, labels=[len(classes) - 1, len(classes) - 2])
    words, numbers = (run("score", labelled, file).stdout for file in ("words.npz", "numbers.npz"))
    assert words == numbers
    np.savez("words.npz", images=images, labels=np.array(["cow", classes[0]]))
    assert "knows no class 'cow'" in run("score", labelled, "words.npz", code=4).error


def test_a_label_for_all_images(run, labelled, model):
    images = torch.randint(17, (3, 1, 8, 8), dtype=torch.uint8)
    np.savez("without.npz", images=images.numpy())
    np.savez("with.npz", images=images.numpy(), labels=np.array([1, 1, 1]))
    said = run("score", labelled, "without.npz", "--label", "dog").stdout
    assert said == run("score", labelled, "with.npz").stdout
    evaluate = ("evaluate", labelled, "--split", "all", "--json", "--data")
    nats = run(*evaluate, "without.npz", "--label", "dog").json["nats_per_image"]
    assert nats == run(*evaluate, "with.npz").json["nats_per_image"]
    assert nats != run(*evaluate, "with.npz", "--label", "owl").json["nats_per_image"]
    assert (
        "not class-conditional" in run("score", model, "without.npz", "--label", "1", code=2).error
    )


def test_a_label_or_a_condition_for_all_images_of_a_named_set(run, labelled, tiny, here, picture):
    named = ("digits", "--label", "dog", "--json")
    scored = run("score", labelled, *named).json["nats_per_image"]
    evaluated = run("evaluate", labelled, "--split", "all", "--data", *named).json
    assert scored == pytest.approx(evaluated["nats_per_image"])
    model = tiny(condition="vector", condition_size=1)
    model.record["data"] = {"name": "own.npz", "condition": ["mass"]}
    checkpoint.save(model, "vectors.safetensors")
    (here / "photos").mkdir()
    picture("photos/a.png")
    for source in ("digits", "photos"):  # neither has columns, such as training read
        run("score", "vectors.safetensors", source, "--condition", "0.5")
        error = run("score", "vectors.safetensors", source, code=4).error
        assert "this model needs a vector for each image" in error


def test_classes_of_other_folders_count_by_their_names(run, labelled, here, picture):
    """A folder that lacks the first class is not scored as if its classes were the model's first ones."""
    for name in ("dog", "owl"):
        (here / "photos" / name).mkdir(parents=True)
        picture(f"photos/{name}/{name}.png", value=40)
    found = {row["name"]: row["nats"] for row in run("score", labelled, "photos").rows}
    for name in ("dog", "owl"):
        (alone,) = run("score", labelled, f"photos/{name}/{name}.png", "--label", name).rows
        assert alone["nats"] == found[f"{name}/{name}.png"]
    (here / "pets/dog").mkdir(parents=True)
    picture("pets/dog/dog.png", value=40)
    assert run("score", labelled, "pets").rows[0]["nats"] == found["dog/dog.png"]
    (here / "photos" / "yak").mkdir()
    picture("photos/yak/yak.png")
    assert "'yak'" in run("score", labelled, "photos", code=4).error


def test_bad_files_are_named_or_skipped(run, model, here, picture):
    (here / "photos").mkdir()
    picture("photos/good.png")
    (here / "photos/bad\nname.png").write_bytes(b"no picture")
    outcome = run("score", model, "photos", code=3)
    assert "bad\\nname.png" in outcome.error
    assert len(run("score", model, "photos", "--skip-bad").rows) == 1


def test_a_spreadsheet_gets_no_formula_and_a_program_the_name(run, model, here, picture):
    name = "=1+1.png"
    (here / "photos").mkdir()
    picture("photos/a.png")
    (here / "photos/a.png").rename(here / "photos" / name)
    (row,) = run("score", model, "photos").rows
    assert row["name"] == f"'{name}"
    assert run("score", model, "photos", "--json").json["rows"][0]["name"] == name


@pytest.mark.parametrize(
    ("record", "same", "words"),
    [
        ({"binarisation": "none"}, True, "levels as given"),
        ({"binarisation": "fixed"}, True, "levels as given"),
        ({"binarisation": "dynamic"}, False, "binarisation dynamic"),
        (
            {"binarisation": "none", "quantisation": "256 -> 17 equal bins"},
            False,
            "256 -> 17 equal bins",
        ),
        ({}, None, None),
    ],
)
def test_data_coded_otherwise_than_in_training_say_so(run, tiny, here, record, same, words):
    made = tiny()
    made.record = {"data": {"name": "digits"}} | record
    outcome = run("evaluate", saved(made, here), "--limit", 5, "--json")
    assert (outcome.json["as_trained"], outcome.json["training_coding"]) == (same, words)
    said = f"digits: levels as given, but the model was trained with {words}"
    for text in (outcome.stderr, run("score", "m.safetensors", "digits").stderr):
        assert (said in text) == (same is False)


def test_any_draw_of_dynamic_binarisation_is_the_same_coding(run, tiny, here):
    made = tiny(levels=2)
    made.record = {"data": {"name": "digits", "binarise": "dynamic"}, "binarisation": "dynamic"}
    command = ("evaluate", saved(made, here), "--limit", 5, "--json")
    assert run(*command).json["as_trained"] is True
    made.record |= {"binarisation": "threshold 0.5"}
    saved(made, here)
    assert run(*command).json["as_trained"] is False


def test_an_evaluation_names_bins(run, tiny, here):
    """As its JSON does: of other bins the number means something else."""
    command = ("evaluate", saved(tiny(levels=4), here), "--data", "photos", "--split", "all")
    values = np.random.default_rng(0).integers(0, 256, (9, 8, 8), np.uint8)
    save_pictures(here / "photos", values)
    said = "levels      4, binarisation none, quantisation 256 -> 4 equal bins\n"
    assert said in run(*command).stdout
    assert "quantisation" not in run("evaluate", saved(tiny(), here), "--data", "digits").stdout


def test_some_images_keep_their_numbers(run, model):
    np.save("levels.npy", np.random.default_rng(0).integers(0, 17, (10, 8, 8), np.uint8))
    whole = run("score", model, "levels.npy").rows
    assert run("score", model, "levels.npy", "--limit", 4).rows == [
        whole[at] for at in (0, 2, 5, 7)
    ]


def test_a_part_of_a_named_set_is_said_with_its_name(run, model):
    part = run("score", model, "digits:test", "--limit", 3, "--json").json
    assert (part["images"], part["data"]) == (3, "digits")
    assert "must be one of 'train'" in run("score", model, "digits:tset", code=2).error
    done = run("complete", model, "digits:test", "--limit", 2, "-n", 1, "--out", "a.npz", "--json")
    assert done.json["shape"][0] == 2
    both = ("digits:val", "digits:test", "--limit", 3, "-n", 1, "--out", "b.npz", "--json")
    assert run("complete", model, *both).json["shape"][0] == 3
    error = run("evaluate", model, "--data", "digits:val", "--split", "train", code=2).error
    assert error == "--split says train, and digits:val val"
