"""Files that were written once are read for ever, and written the same again."""

import io

import numpy as np
import pytest
import torch

import pixelcnn as px
from golden.cases import CASES, FOLDER, model
from pixelcnn.codec.container import CODED, STORED, Reader
from pixelcnn.codec.integers import twin_of


@pytest.mark.parametrize("name", CASES)
def test_a_golden_file_is_read_and_written_the_same_again(name):
    case, data = CASES[name], (FOLDER / f"{name}.pxc").read_bytes()
    own = model(case.model)
    found = px.decompress(own, data)
    assert len(found) == len(case.images)
    for one, other in zip(found, case.images, strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other)
    assert case.compressed(own) == data


def test_golden_files_are_of_all_kinds():
    readers = [Reader(io.BytesIO(path.read_bytes())) for path in FOLDER.glob("*.pxc")]
    assert len(readers) == len(CASES)
    entries = [entry for reader in readers for entry in reader.entries]
    assert {entry.form.kind for entry in entries} == {0, 1, 2, 3}
    assert any(entry.size.tiles > 1 for entry in entries)
    assert any(reader.entries.labelled for reader in readers)
    assert {block.mode for reader in readers for _, _, block in reader.blocks()} == {CODED, STORED}


def test_a_model_is_made_whole_once():
    own = model("bernoulli")
    twin, _ = twin_of(own)
    assert twin_of(own)[0] is twin
    with torch.no_grad():
        next(own.parameters()).mul_(2)
        other, _ = twin_of(own)
        next(own.parameters()).div_(2)
    assert other is not twin
