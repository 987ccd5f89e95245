"""Headers and archives that lie."""

import io
import struct
import zipfile

import numpy as np
import pytest
import torch

from pixelcnn import data
from pixelcnn.data.npy import FileArray
from pixelcnn.errors import DataError

NOISE = np.random.default_rng(0).integers(0, 256, (12, 5, 7), np.uint8)
BODY = NOISE.tobytes()


def file_with(header, body=BODY, version=1):
    text = header.encode("latin1")
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + body


def declared(shape):
    return f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n"


def as_file(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def archive(*members, kind=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as packed:
        for name, content in members:
            packed.writestr(name, content)
    return buffer.getvalue()


IMAGES = ("images.npy", as_file(NOISE))


def beside(**arrays):
    """An archive of images and something else."""
    return archive(IMAGES, *((f"{name}.npy", as_file(values)) for name, values in arrays.items()))


LIES = {
    "negative": file_with(declared("(12, 5, -7)")),
    "huge": file_with(declared("(9999999999, 5, 7)")),
    "overflowing": file_with(declared("(4294967296, 4294967296, 5, 7)")),
    "4300 digits": file_with(declared(f"({'9' * 4300}, 5, 7)")),
    "nothing": file_with(declared("(0, 5, 7)"), b""),
    "3000 axes": file_with(declared("(" + "1," * 3000 + ")"), b"x"),
    "fraction": file_with(declared("(12.0, 5, 7)")),
    "text": file_with(declared("'abc'")),
    "nested": file_with(declared("(" * 500 + ")" * 500)),
    "minus signs": file_with("-" * 9_000),
    "no dictionary": file_with("[1, 2]"),
    "objects": file_with("{'descr': '|O', 'fortran_order': False, 'shape': (12, 5, 7)}"),
    "fields": file_with("{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (12, 5, 7)}"),
    "no size": file_with("{'descr': '|V0', 'fortran_order': False, 'shape': (12, 5, 7)}", b""),
    "long header": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 99,
    "version 9": file_with(declared("(12, 5, 7)"), version=9),
    "too short": as_file(NOISE)[:-1],
    "too long": as_file(NOISE) + b"x",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_refused_in_one_short_line(tmp_path, lie):
    path = tmp_path / "images.npy"
    path.write_bytes(LIES[lie])
    with pytest.raises(DataError, match=r"^images\.npy") as caught:
        data.load_all(path)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_version_of_the_format_is_read(tmp_path, version):
    path = tmp_path / "images.npy"
    path.write_bytes(file_with(declared("(12, 5, 7)"), version=version))
    assert np.array_equal(data.load_all(path).images[:, 0].numpy(), NOISE)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", ">i8", "u8", "?"])
def test_parts_of_a_file_are_those_of_the_array(tmp_path, order, dtype):
    values = np.asarray(NOISE % 2 if dtype == "?" else NOISE, dtype=dtype, order=order)
    np.save(tmp_path / "a.npy", values)
    found = FileArray(tmp_path / "a.npy")
    assert (found.shape, found.dtype, len(found)) == (values.shape, values.dtype, 12)
    for rows in (slice(None), slice(3, 8), slice(2, 11, 3), slice(5, 5), slice(9, None, -2)):
        assert np.array_equal(found[rows], values[rows])
    assert np.array_equal(found[torch.tensor([7, 0, 7])], values[[7, 0, 7]])
    assert np.array_equal(found.whole(), values)


def test_a_file_that_is_cut_while_it_is_used_is_an_error_not_a_signal(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, NOISE)
    images = data.load_all(path)
    path.write_bytes(path.read_bytes()[:-100])
    assert images.images[:3].shape == (3, 1, 5, 7)
    with pytest.raises(DataError, match="has become shorter"):
        images.images[:]


@pytest.mark.parametrize("values", [NOISE.astype(np.uint64), np.full((2, 5, 7), 65_535, np.uint64)])
def test_wide_integers_are_taken_if_their_values_are_levels(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "a.npz", values)
    for name in ("a.npy", "a.npz"):
        found = data.load_all(tmp_path / name, source_levels=65_536).images
        assert np.array_equal(found[:, 0].numpy(), values)


def changed(offset, content, sign=b"PK\x01\x02"):
    """An archive with other bytes in its index."""
    whole = archive(IMAGES)
    at = whole.rindex(sign) + offset
    return whole[:at] + content + whole[at + len(content) :]


WRONG = {
    "encrypted": (changed(8, b"\x01"), "encrypted"),
    "no array": (archive(("images", b"hi")), "holds the arrays none"),
    "an archive in it": (archive(("images.npy", archive(IMAGES))), "no header of an array"),
    "a size that lies": (changed(24, struct.pack("<I", 2**31)), r"unpacks 548 bytes to 2,147,483,648"),
    "two sizes that lie": (changed(20, struct.pack("<II", 2**31, 2**31)), "420 bytes|Overlapped"),
    "a long index": (changed(12, struct.pack("<I", 2**31 - 1), b"PK\x05\x06"), "cannot be read|damaged"),
    "spoilt values": (archive(IMAGES).replace(NOISE.tobytes()[:9], bytes(9)), "CRC-32"),
    "labels of 10**18": (beside(labels=np.arange(12) + 10**18), "up to 65535"),
    "labels as pairs of text": (beside(labels=np.full((12, 2), "a")), "labels are integers"),
    "no condition": (beside(condition=np.zeros((12, 3), "M8[s]")), "a condition is"),
    "complex condition": (beside(condition=np.zeros((12, 3), complex)), "a condition is"),
    "levels of text": (beside(levels=np.array("a")), "levels should be one number"),
    "levels of 2**63": (beside(levels=np.uint64(2**63)), "levels"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_an_archive_that_lies_is_refused_in_one_line(tmp_path, case):
    content, message = WRONG[case]
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"^a\.npz.*({message})") as caught:
        data.load_all(path)
    assert str(caught.value).isprintable()


def test_foreign_members_do_no_harm(tmp_path):
    (tmp_path / "a.npz").write_bytes(archive(("readme.txt", b"hi"), IMAGES))
    assert np.array_equal(data.load_all(tmp_path / "a.npz").images[:, 0].numpy(), NOISE)


def test_an_archive_that_grows_beyond_reason_is_refused_before_it_is_unpacked(
    tmp_path, monkeypatch
):
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((2_000, 28, 28), np.uint8))
    assert len(data.load_all(tmp_path / "a.npz")) == 2_000
    monkeypatch.setattr("pixelcnn.data.stored.ALWAYS_FINE", 2**20)
    with pytest.raises(DataError, match=r"unpacks .* to 1,568,128") as caught:
        data.load_all(tmp_path / "a.npz")
    assert ".npy" in caught.value.hint
