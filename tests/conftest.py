"""Fixtures shared by the tests."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

SLOW_TIMEOUT = 900  # seconds

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")


LONG = re.compile(
    r"test_lookup.py::.*(pixelcnnpp|made|snail|lstm)"
    r"|test_cuda.py::.*(pixelcnnpp|snail|lstm)"
    r"|test_engines.py::test_cached_equals_full\[(pixelcnnpp|snail|diagonal)"
    r"|test_engines.py::test_every_engine_draws_the_same_pixels\[(gated|compact|pixelcnnpp|snail|pixelcnn-shape3)"
    r"|test_networks.py::test_(models|networks)_of_codes_.*(pixelcnnpp|snail|diagonal)"
    r"|test_pixelcnnpp.py::test_it_keeps_its_promises_at_any_number_of_scales"
    r"|test_pixelcnnpp.py::test_it_keeps_its_promises_with_any_norm"
    r"|test_conformance.py::.*one_side_is_even\[(pixelcnnpp|snail|diagonal)"
    r"|test_codec.py::test_every_engine.*\[diagonal"
    r"|test_codec.py::test_every_engine.*\[(pixelcnnpp|row-lstm|gated).*double"
    r"|test_twin.py::test_ranges_out_of_all_proportion.*(pixelcnnpp|lstm)"
    r"|test_kills.py::test_a_training_survives\[(interrupt|terminate).*-2"
    r"|test_processes.py::.*(they_train_as_one_would\[3|sizes1|same_step\[1|all_go_on\[1)"
    r"|test_terminal.py::.*\[(20 columns|dumb)"
    r"|test_fit.py::test_(a_vector_or_a_map_|threads_change_no_more)"
    r"|test_processes.py::test_a_time_limit_is_settled"
    r"|test_benchmarks.py::test_growth"
    r"|test_processes.py::.*(evaluate_as_one|sizes0|is_skipped_by_all)"
    r"|test_conformance.py::test_networks_keep_their_promises\[(pixelcnnpp-[13]|(snail|diagonal-bilstm)-3)"
    r"|test_recipe.py::test_every_recipe_builds\[(pixelcnnpp-cifar10|snail-cifar10)\]"
    r"|test_engines.py::test_native_equals_full\[pixelcnnpp"
    r"|test_drawing.py::.*levels=4099"
    r"|test_truth.py::.*colour-plain"
    r"|test_conformance.py::test_models_keep_their_promises\[(pixelcnnpp|snail|diagonal-bilstm)"
    r"|test_conformance.py::test_models_keep_their_promises\[(gated-pixelcnn|compact)-(1-channel-label|3-[a-z]+-None)"
    r"|test_receptive_field.py::test_the_field_agrees.*\[(pixelcnnpp|snail|diagonal-bilstm)-3"
    r"|test_engines.py::test_native_numbers_depend_on_the_image_alone\[pixelcnnpp"
    r"|test_engines.py::test_native_equals_full\[(snail|diagonal)"
    r"|test_probability.py::test_a_pmf_is_normalised.*-65536"
    r"|test_benchmarks.py::test_a_gpu_run_without_a_gpu.*pixelcnnpp"
    r"|test_shipped.py::.*(draws_natively_and_codes|likelihood_of_test_images)\[cifar-10"
    r"|test_shipped.py::.*draws_natively_and_codes\[mnist-wide"
    r"|test_trainings.py::test_the_queue_trains"
    r"|test_speedrun.py::test_plain_pytorch"
)
"""Variants that take seconds, of which a sibling, or the conformance of the same network, is fast."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what takes long as slow, and gives slow tests more time, unless they set their own."""
    for item in items:
        if LONG.search(item.nodeid):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT))


@pytest.fixture
def float64() -> Iterator[None]:
    """Networks built in the test compute in float64, so that tolerances can be tight."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """PyTorch computes with two threads, and after the test with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data_root() -> Path:
    """The folder with the official data sets; without ``PIXELCNN_DATA`` the test is skipped."""
    root = os.environ.get("PIXELCNN_DATA")
    if not root:
        pytest.skip("PIXELCNN_DATA is not set")
    return Path(root)


@pytest.fixture
def root() -> Path:
    """The root of the source tree."""
    return Path(__file__).parents[1]
