"""The formats of the official files."""

import numpy as np

from pixelcnn.data.official import read_amat, read_cifar, read_idx

NOISE = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), np.uint8)


def test_idx_is_row_major_behind_its_header():
    grey = NOISE[:, 0, :28, :30]
    header = np.array([2051, 2, 28, 30], ">u4").tobytes()
    pixels, labels = read_idx(header + grey.tobytes(), b"\0\0\x08\x01\0\0\0\x02\x07\x09")
    assert np.array_equal(pixels[:, 0], grey)
    assert labels.tolist() == [7, 9]


def test_amat_lines_are_digits_with_single_spaces():
    bits = NOISE[:, 0, :28, :28] & 1
    text = "".join(" ".join(map(str, image.reshape(-1).tolist())) + "\n" for image in bits)
    assert len(text) == 2 * 1568
    pixels, labels = read_amat(text.encode())
    assert np.array_equal(pixels[:, 0], bits)
    assert labels is None


def test_cifar_records_are_a_label_and_three_planes():
    first, second = (
        bytes([label]) + image.tobytes() for label, image in zip((3, 8), NOISE, strict=True)
    )
    pixels, labels = read_cifar(first, second)
    assert np.array_equal(pixels, NOISE)
    assert labels.tolist() == [3, 8]
