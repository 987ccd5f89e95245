"""The way of a folder to a loss stays as short as it was made, and the documentation tells it as it is."""

from pathlib import Path

import pytest

from tests.data import way

DOCUMENT = Path(__file__).parents[2] / "docs/data.md"
MOST = 20
"""Returns between modules: whoever follows the way opens no more files again."""


@pytest.fixture(scope="module")
def stops(tmp_path_factory):
    return way.walk(way.fill(tmp_path_factory.mktemp("folder")))


def test_a_folder_becomes_a_loss_with_few_returns_between_modules(stops):
    assert way.returns(stops) <= MOST, "\n".join(way.told(stops))


def test_the_documentation_lists_the_way_as_it_is(stops):
    assert "\n".join(way.told(stops)) in DOCUMENT.read_text(encoding="utf-8")


def test_a_function_that_was_met_before_is_no_stop():
    visits = [way.Stop("a", ["one"]), way.Stop("b", ["two"]), way.Stop("a", ["three"])]
    assert way.returns(visits) == 1
    assert [line[0] for line in way.told(visits)][:3] == [" ", " ", "<"]
