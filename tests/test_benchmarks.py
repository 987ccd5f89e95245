"""The benchmarks run, and measure what they say."""

import json

import pytest

from benchmarks import __main__ as benchmarks


def test_every_line_is_a_speed(capsys):
    benchmarks.main(["digits", "--batch", "1", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["what"] for row in rows][:2] == ["train", "score"]
    assert all(row["images_per_second"] > 0 for row in rows)


def test_the_keras_network_has_the_size_keras_reports():
    assert benchmarks.mnist().parameters_count == 532_673


def test_an_unknown_model_is_a_usage_error():
    with pytest.raises(SystemExit) as ending:
        benchmarks.main(["nonsense"])
    assert ending.value.code == 2
