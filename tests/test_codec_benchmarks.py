"""What the benchmark of the codec counts."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from benchmarks import __main__ as benchmarks
from benchmarks import codec_rates, codec_speed, contexts
from benchmarks.timing import Timing
from pixelcnn import codec, data
from pixelcnn.data import ImageSet


def images(channels, levels, n):
    draw = np.random.default_rng(n).integers
    return np.minimum(draw(0, levels, (n, channels, 5, 7)), draw(0, levels, (n, channels, 5, 7)))


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (3, 2), (1, 5), (3, 4)])
def test_a_table_codes_as_long_as_one_that_counts_on_symbol_by_symbol(channels, levels):
    training, test = images(channels, levels, 6), images(channels, levels, 3)
    (seen,) = contexts._seen(training, levels)
    table = np.full((seen.context_count, seen.symbol_count), 0.5)
    np.add.at(table, (seen.contexts, seen.symbols), 1)
    (seen,), expected = contexts._seen(test, levels), 0.0
    for context, symbol in zip(seen.contexts.flat, seen.symbols.flat, strict=True):
        expected -= math.log2(table[context, symbol] / table[context].sum())
        table[context, symbol] += 1
    assert contexts.bits(training, test, levels) == pytest.approx(expected)


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 5), (3, 4)])
def test_a_context_knows_nothing_of_what_comes_later(channels, levels):
    image = images(channels, levels, 1)
    (before,) = contexts._seen(image, levels)
    for channel, row, column in itertools.product(range(channels), range(5), range(7)):
        changed = image.copy()
        changed[0, channel, row, column] += 1
        (after,) = contexts._seen(changed, levels + (levels > 2))
        differ = before.contexts != after.contexts
        past = np.zeros_like(differ)
        past[:, :, :row] = past[:, :, row, :column] = past[:, : channel + 1, row, column] = True
        assert not (differ & past).any()


def test_the_sixteen_taps_are_the_sixteen_before():
    assert len(set(contexts.TAPS)) == 16 and all(tap < (0, 0) for tap in contexts.TAPS)


def test_a_column_has_every_way_or_a_reason(monkeypatch):
    parts = data.load("digits").train.images[:60, :, :5, :7] // 9
    sets = codec_rates.Images(ImageSet(parts[:40], 2), ImageSet(parts[40:], 2))
    monkeypatch.setattr(codec_rates, "load", lambda *_: sets)
    column = codec_rates.measure("mnist", None, 20)
    assert "--model" in column.notes["model"]
    assert {"raw", "PNG, a file each", "WebP, one sheet", "context table"} <= set(column.bits)
    column = codec_rates.measure("mnist", tiny.tiny_model(channels=1), 20)
    assert column.bits["model, -log2 p"] < column.bits[".pxc"] < column.bits[".pxc with the model"]
    assert "parameters" in codec_rates.report([column]) and "3.25" in codec_rates.report([column])


def test_a_data_set_that_is_not_here_is_a_note(monkeypatch, tmp_path):
    monkeypatch.setenv("PIXELCNN_DATA", str(tmp_path))
    column = codec_rates.measure("kodak", None, 1)
    assert "kodak" in column.notes["all"] and not column.bits
    assert "kodak" in codec_rates.report([column])


def test_no_more_photographs_are_taken_than_asked_for(monkeypatch, tmp_path):
    (tmp_path / "kodak").mkdir()
    for name in "ab":
        Image.new("RGB", (131, 130)).save(tmp_path / "kodak" / f"{name}.png")
    monkeypatch.setenv("PIXELCNN_DATA", str(tmp_path))
    monkeypatch.setattr(data, "load", lambda name: SimpleNamespace(train=None))
    assert len(codec_rates.load("kodak", 1).test) == 1


def test_a_file_lies_a_little_above_the_likelihoods():
    model = tiny.tiny_model(channels=1)
    levels = torch.randint(
        model.levels, (64, *model.shape), generator=torch.Generator().manual_seed(0)
    )
    codec.calibrate(model, levels)
    found = codec_rates.check(model, ImageSet(levels, model.levels))
    assert found.twin < found.file < found.twin + 100
    assert found.twin == pytest.approx(found.model, rel=0.01)
    assert "64 images" in str(found)


@pytest.mark.parametrize("word", ["nonsense=a.safetensors", "nonsense"])
def test_an_unknown_data_set_of_a_model_is_named(word):
    with pytest.raises(SystemExit, match="nonsense"):
        codec_rates.chosen([word])


def test_the_table_of_speed_compares_with_the_slowest():
    timings = {"compress": Timing((2.0, 1.0)), "a full pass a sub-pixel": Timing((50.0, 60.0))}
    text = codec_speed.report(codec_speed.Row("mnist", 10, 0.5, timings), rounds=2)
    assert "50.0×" in text and "0.500" in text


def test_the_part_is_asked_for_by_name():
    options = benchmarks.parse(["codec", "--sets", "mnist"])
    assert options.parts == ["codec-rates", "codec-speed"] and options.sets == ["mnist"]
    assert "codec-speed" not in benchmarks.parse([]).parts
    assert benchmarks.parse(["sampling", "all", "gpu"]).parts == [*benchmarks.PARTS, "gpu"]


def test_a_quick_run_codes_few_images(monkeypatch):
    limits = []
    monkeypatch.setattr(codec_rates, "chosen", lambda words: {})
    monkeypatch.setattr(codec_rates, "run", lambda names, models, limit: limits.append(limit) or [])
    for words in (["codec"], ["codec", "--quick"], ["codec", "--quick", "--images", "7"]):
        assert [rows for _, rows in benchmarks.code(benchmarks.parse(words))] == [[]]
    assert limits == [1_000, 20, 7]


@pytest.mark.slow
def test_memory_is_that_of_a_process_of_its_own():
    (few,) = codec_speed.memory([2])
    assert 0 < few.start <= few.compress <= few.decompress
