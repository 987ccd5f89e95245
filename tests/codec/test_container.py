"""A file says what is in it before anything is decoded, and whatever was changed in it is noticed."""

import dataclasses
import io
import random
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest

import pixelcnn as px
from pixelcnn.codec import archive, container
from pixelcnn.codec.container import CODED, SIGNATURE, STORED, Block, Reader
from pixelcnn.codec.entries import FILE, LIST, PICTURE, Entry, Form, Size, fits, parsed, written
from pixelcnn.codec.numbers import Damaged, varints
from pixelcnn.errors import ConfigError
from pixelcnn.shapes import ImageShape

NAME = bytes(range(8))
SMALL = Size(ImageShape(1, 5, 7), (5, 7))
SPLIT = Size(ImageShape(3, 11, 13), (6, 7))
PLAIN, MASK = Form(FILE, 1), Form(PICTURE, 1, values=(0, 255))


def a_file(entries, blocks=None, labelled=False):
    """The bytes of a file with blocks of a few bytes."""
    parts = container.parts(entries)
    blocks = blocks or [Block(CODED, b"four" * 2, b"12345678") for _ in parts]
    return b"".join(container.write(NAME, entries, labelled, blocks))


def signed(body):
    """A header with a right checksum, whatever it says."""
    head = SIGNATURE + bytes([1]) + varints([len(body)]) + body
    return head + struct.pack("<I", zlib.crc32(head))


ENTRIES = (
    Entry("a/é b.png", MASK, SMALL, 1, number=0),
    Entry("-x.npy", PLAIN, SMALL, 1_300, number=1),
    Entry("", Form(LIST, 8), SPLIT, 2, number=2),
    Entry("none.npy", PLAIN, SMALL, 0, number=3),
)


def test_what_is_written_is_read():
    data = a_file(ENTRIES)
    reader = Reader(io.BytesIO(data))
    reader.check()
    assert tuple(reader.entries) == ENTRIES
    assert reader.fingerprint == NAME
    assert [count for _, count in container.parts(reader.entries)] == [1_024, 277, 8]
    assert (reader.entries.images, reader.entries.tiles) == (1_303, 1_309)


def test_labels_belong_to_images():
    entries = [Entry("a.png", MASK, SMALL, 1, [3]), Entry("b.npy", PLAIN, SMALL, 3, [0, 300, 1])]
    found = Reader(io.BytesIO(a_file(entries, labelled=True))).entries
    assert [list(entry.labels) for entry in found] == [[3], [0, 300, 1]]


def test_images_without_names_cost_no_byte_of_the_list():
    sizes = [len(written([Entry("", PLAIN, SMALL, count)])) for count in (1, 127)]
    assert sizes[0] == sizes[1]


def test_names_are_packed():
    entries = [Entry(f"test/{number:05d}.png", MASK, SMALL, 1) for number in range(1_000)]
    assert len(a_file(entries)) < len(entries)


def test_a_list_that_packing_makes_no_shorter_is_read():
    """Those that zlib makes exactly as long among them, as it often does with three pictures."""
    ties = 0
    for height in range(1, 100):
        sizes = [Size(ImageShape(1, side, height), (side, height)) for side in (7, 19, 53)]
        entries = [
            Entry(f"{height:04d}-{size.shape.height}.png", MASK, size, 1, number=number)
            for number, size in enumerate(sizes)
        ]
        listed = written(entries)
        ties += len(zlib.compress(listed, 9)) == len(listed)
        assert tuple(Reader(io.BytesIO(a_file(entries))).entries) == tuple(entries)
    assert ties


@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "a/./b", "a\\b", "a\0", "..", "a/"])
def test_names_that_lead_elsewhere_are_refused(name):
    assert not fits(name)
    data = written([Entry("x" * len(name), PLAIN, SMALL, 1)]).replace(
        b"x" * len(name), name.encode()
    )
    with pytest.raises(Damaged, match="leads elsewhere"):
        parsed(data, labelled=False)


def test_every_flipped_bit_and_every_cut_is_noticed():
    data = a_file(ENTRIES[:3])
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        for damaged in (bytes(changed), data[:place]):
            with pytest.raises(Damaged):
                Reader(io.BytesIO(damaged)).check()
    with pytest.raises(Damaged, match="something follows"):
        Reader(io.BytesIO(data + b"\0")).check()


def test_blocks_that_changed_places_are_noticed():
    blocks = [Block(CODED, letter * 8, letter * 8) for letter in (b"a", b"b", b"c")]
    one = a_file(ENTRIES[:3], blocks)
    frame = len(one) - (len(a_file([])) - 1)
    size = 5 + 8 + 8 + 4
    start = len(one) - 3 * size
    assert frame > start
    swapped = one[:start] + one[start + size : start + 2 * size] + one[start : start + size]
    with pytest.raises(Damaged, match="checksum"):
        Reader(io.BytesIO(swapped + one[start + 2 * size :])).check()


@pytest.mark.parametrize(
    "body",
    [
        NAME + b"\0" + varints([1, FILE, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 2**32 - 1, 0, 0]),
        NAME + b"\0" + varints([1, FILE, 1, 0, 0, 1, 1, 65_536, 65_536, 65_536, 65_536, 1]),
        NAME
        + b"\0"
        + varints([1, FILE, 1, 0, 0, 1, 1, 65_536, 65_536, 1, 1, 1, 0, 0, 2**31, 0, 0]),
        NAME + b"\0" + varints([1, FILE, 1, 0, 65_536]),
        NAME + b"\2" + varints([2**24 - 1]) + zlib.compress(bytes(2**24 - 1), 9)[:30],
        NAME + b"\2" + varints([2**24 - 1]) + zlib.compress(bytes(2**24), 9),
    ],
    ids=["images", "tile", "tiles", "values", "cut bomb", "bomb"],
)
def test_what_promises_much_is_refused_soon_and_for_little(body):
    data = signed(body)
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises(Damaged):
        Reader(io.BytesIO(data)).check()
    assert time.process_time() - begin < 5
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()


def test_a_header_that_promises_what_does_not_follow_is_refused_before_the_twin_is_made(
    monkeypatch,
):
    monkeypatch.setattr(archive, "twin_of", lambda model: pytest.fail("the twin is made"))
    size = Size(ImageShape(1, 1_000, 1_000), (524, 1_000))
    data = signed(NAME + b"\0" + written([Entry("", Form(LIST, 1), size, 1)]))
    assert len(data) <= 50
    with pytest.raises(Damaged, match="too early"):
        next(archive.unpack(px.load("mnist"), Reader(io.BytesIO(data))))


def test_random_headers_with_right_checksums_are_refused_or_read():
    drawn = random.Random(0)
    good = a_file(ENTRIES)
    head = good[10 : good.index(b"four")]
    for _ in range(300):
        body = bytearray(head[: drawn.randrange(12, len(head))])
        for _ in range(drawn.randrange(4)):
            body[drawn.randrange(8, len(body))] = drawn.choice((0, 1, 127, 128, 255))
        try:
            Reader(io.BytesIO(signed(bytes(body)))).check()
        except Damaged:
            continue


def test_a_later_version_is_named():
    with pytest.raises(Damaged, match="is of version 9, only 1 is known"):
        Reader(io.BytesIO(SIGNATURE + b"\x09"))


def test_what_is_no_such_file_is_said_to_be_none():
    for data, words in (
        (b"", "no .pxc file"),
        (b"\x89PNG\r\n", "no .pxc"),
        (b"\x89PX", "too early"),
    ):
        with pytest.raises(Damaged, match=words):
            Reader(io.BytesIO(data))


@pytest.mark.parametrize("flaw", [lambda listed: listed + b"\0", lambda listed: listed[::-1]])
def test_a_list_that_would_not_come_back_is_not_written(flaw, monkeypatch):
    monkeypatch.setattr(container, "packed", flaw)
    with pytest.raises((AssertionError, Damaged)):
        a_file(ENTRIES)


def test_too_many_forms_for_one_file_are_refused():
    forms = [dataclasses.replace(MASK, values=(value,)) for value in range(4_097)]
    with pytest.raises(ConfigError, match="too many, or too different"):
        written([Entry(f"{form.values}", form, SMALL, 1) for form in forms])


@pytest.mark.parametrize(("count", "size"), [(2, 5), (256, 35), (300, 70)])
def test_stored_levels_take_no_more_than_they_need(count, size):
    levels = np.random.default_rng(0).integers(0, count, (1, 1, 5, 7))
    data = container.stored(levels, count)
    assert len(data) == size
    assert np.array_equal(container.unstored(data, count, levels.shape), levels)
    with pytest.raises(Damaged, match="another size"):
        container.unstored(data + b"\0", count, levels.shape)
    assert Block(STORED, data).digest == b""
