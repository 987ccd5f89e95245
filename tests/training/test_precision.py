"""``auto`` computes in bfloat16 where that is faster."""

import pytest

from pixelcnn.training import precision

PROCESSORS = {
    "Zen 4": ("AuthenticAMD", "avx512f avx512_bf16", "bf16"),
    "Zen 2": ("AuthenticAMD", "avx avx2", "32"),
    "Xeon with AMX": ("GenuineIntel", "avx512_bf16 amx_bf16 amx_tile", "bf16"),
    "Xeon without AMX": ("GenuineIntel", "avx512f avx512_bf16 avx512_fp16", "32"),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_bfloat16_is_for_processors_that_multiply_faster_in_it(name, monkeypatch):
    vendor, flags, expected = PROCESSORS[name]
    monkeypatch.setattr(precision, "processor", lambda: f"vendor_id: {vendor}\nflags: {flags}\n")
    assert precision.resolve_precision("auto", "cpu") == expected
    assert precision.resolve_precision("auto", "mps") == "32"
    assert precision.resolve_precision("bf16", "cpu") == "bf16"
