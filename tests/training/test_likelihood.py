"""What a validation says of its images, and that ``auto`` computes in bfloat16 where that is faster."""

import json
import math

import numpy as np
import pytest

from pixelcnn.record import checked
from pixelcnn.training import likelihood
from pixelcnn.training.likelihood import Validation, resolve_precision
from pixelcnn.training.record import validation_record


def test_a_validation_has_the_mean_its_error_and_bits():
    found = Validation(np.array([3.0, 5.0, 10.0]), dimensions=4)
    assert (found.mean, found.loss) == (6.0, 1.5)
    assert found.bits_per_dim == pytest.approx(6 / 4 / math.log(2))
    # Deviations of -3, -1 and 4: 26 in squares, over n - 1, over n.
    assert found.stderr == pytest.approx(math.sqrt(26 / 2 / 3))


def test_a_single_image_has_no_standard_error_and_a_record_that_is_json():
    found = Validation(np.array([3.0]), dimensions=4)
    assert math.isnan(found.stderr)
    record = validation_record(found)
    assert json.loads(json.dumps(record, allow_nan=False))["validation"]["stderr"] is None
    assert checked(record)["validation"]["stderr"] is None


def test_quantiles_are_those_of_every_hundredth():
    found = Validation(np.arange(201.0), dimensions=4).quantiles
    assert found == [2.0 * share for share in range(101)]


PROCESSORS = {
    "Zen 4": ("AuthenticAMD", "avx512f avx512_bf16", "bf16"),
    "Zen 2": ("AuthenticAMD", "avx avx2", "32"),
    "Xeon with AMX": ("GenuineIntel", "avx512_bf16 amx_bf16 amx_tile", "bf16"),
    "Xeon without AMX": ("GenuineIntel", "avx512f avx512_bf16 avx512_fp16", "32"),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_bfloat16_is_for_processors_that_multiply_faster_in_it(name, monkeypatch):
    vendor, flags, expected = PROCESSORS[name]
    monkeypatch.setattr(likelihood, "processor", lambda: f"vendor_id: {vendor}\nflags: {flags}\n")
    assert resolve_precision("auto", "cpu") == expected
    assert resolve_precision("auto", "mps") == "32"
    assert resolve_precision("bf16", "cpu") == "bf16"
