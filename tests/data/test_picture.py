"""One image file after the other."""

import inspect
import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from forgery import png_chunk, png_file
from pixelcnn import data
from pixelcnn.data import picture
from pixelcnn.data.depth import FORMATS
from pixelcnn.data.picture import MAX_PIXELS, SUFFIXES, How, read_picture
from pixelcnn.errors import DataError, ResourceError

RED, GREY = (200, 10, 30), (90, 90, 90)


def saved(path, image, **options):
    image.save(path, **options)
    return path


def test_grey_and_rgb_come_as_they_are(write_image):
    for mode, channels in (("L", 1), ("RGB", 3)):
        path = write_image(f"{mode}.png", mode)
        picture = read_picture(path)
        with Image.open(path) as image:
            pixels = np.asarray(image)
        assert picture.pixels.shape == (channels, 6, 5)
        assert np.array_equal(np.moveaxis(picture.pixels, 0, -1).squeeze(), pixels)
        assert (picture.bits, picture.notes) == (8, ())


def test_one_bit_is_black_and_white(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(np.array([[True, False]])))
    picture = read_picture(path)
    assert (picture.bits, picture.pixels.tolist()) == (1, [[[255, 0]]])


@pytest.mark.parametrize(("colour", "channels"), [(RED, 3), (GREY, 1)])
def test_a_palette_is_looked_up_and_grey_if_all_its_colours_are(tmp_path, colour, channels):
    path = saved(tmp_path / "a.png", Image.new("RGB", (3, 2), colour).convert("P"))
    picture = read_picture(path)
    assert picture.notes == ("palette looked up",)
    assert picture.pixels.shape == (channels, 2, 3)
    expected = Image.new("RGB", (3, 2), colour).convert("P").convert("RGB").getpixel((0, 0))
    assert picture.pixels[:, 0, 0].tolist() == list(expected[:channels])


def test_transparency_is_laid_over_white(tmp_path):
    half = Image.new("RGBA", (3, 2), (*RED, 128))
    half.putpixel((0, 0), (1, 2, 3, 0))
    picture = read_picture(saved(tmp_path / "a.png", half))
    assert picture.notes == ("transparency laid over white",)
    assert picture.pixels[:, 0, 0].tolist() == [255, 255, 255]
    expected = [round((c * 128 + 255 * 127) / 255) for c in RED]
    assert np.allclose(picture.pixels[:, 1, 1], expected, atol=1)


def test_an_opaque_alpha_channel_is_dropped(tmp_path):
    for mode, colour, channels in (("RGBA", (*RED, 255), 3), ("LA", (90, 255), 1)):
        picture = read_picture(saved(tmp_path / "a.png", Image.new(mode, (3, 2), colour)))
        assert picture.notes == ("opaque alpha channel dropped",)
        assert picture.pixels[:, 0, 0].tolist() == list(colour[:channels])


def test_a_transparent_colour_of_a_palette_is_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREY])
    image.putdata([0, 1])
    picture = read_picture(saved(tmp_path / "a.png", image, transparency=0))
    assert picture.pixels[:, 0].T.tolist() == [[255, 255, 255], list(GREY)]


def test_sixteen_bits_lose_the_lower_eight_and_say_so(tmp_path):
    values = np.array([[0, 255, 256, 65_535]], np.uint16)
    path = saved(tmp_path / "a.png", Image.fromarray(values))
    picture = read_picture(path)
    assert (picture.bits, picture.notes) == (16, ("16 bits reduced to 8",))
    assert picture.pixels.tolist() == [[[0, 0, 1, 255]]]
    wide = read_picture(path, How(wide=True))
    assert (wide.notes, wide.pixels.tolist()) == ((), [values.tolist()])


def test_eight_bits_read_wide_fill_the_range(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(np.array([[0, 1, 255]], np.uint8)))
    assert read_picture(path, How(wide=True)).pixels.tolist() == [[[0, 257, 65_535]]]


def test_sixteen_bit_colour_is_told(tmp_path):
    row = b"\0" + struct.pack(">6H", 256, 512, 768, 0, 0, 65_535)
    path = tmp_path / "deep.png"
    path.write_bytes(png_file(2, 1, row, depth=16, colour=2))
    picture = read_picture(path)
    assert picture.notes == ("16 bits reduced to 8",)
    assert picture.pixels[:, 0].T.tolist() == [[1, 2, 3], [0, 0, 255]]


def test_cmyk_becomes_rgb_and_says_so(tmp_path):
    image = Image.new("CMYK", (4, 3), (0, 255, 255, 0))
    picture = read_picture(saved(tmp_path / "a.tif", image))
    assert picture.notes == ("CMYK converted to RGB",)
    assert picture.pixels[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_rotation_is_undone_and_said(tmp_path, orientation):
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", Image.fromarray(pixels), exif=exif)
    picture = read_picture(path)
    turned = {
        1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1],
        5: pixels.T, 6: pixels[::-1].T, 7: pixels[::-1, ::-1].T, 8: pixels[:, ::-1].T,
    }[orientation]  # fmt: skip
    assert picture.pixels[0].tolist() == turned.tolist()
    assert bool(picture.notes) == (orientation > 1)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_the_first_frame_of_several_is_taken_and_said(tmp_path, suffix):
    frames = [Image.new("L", (4, 3), value) for value in (10, 200)]
    options = {"lossless": True} if suffix == ".webp" else {}
    path = saved(
        tmp_path / f"a{suffix}", frames[0], save_all=True, append_images=frames[1:], **options
    )
    picture = read_picture(path)
    assert "first of several frames taken" in picture.notes
    assert picture.pixels.shape[1:] == (3, 4)
    assert set(picture.pixels.flatten().tolist()) == {10}


def test_floating_point_pixels_are_refused(tmp_path):
    path = saved(tmp_path / "a.tif", Image.fromarray(np.ones((2, 2), np.float32)))
    with pytest.raises(DataError, match="floating-point"):
        read_picture(path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (30_000, 30_000, "900,000,000 pixels"),
        (12_000, 9_000, "108,000,000 pixels"),
        (70_000, 1, "65,536"),
    ],
)
def test_a_huge_picture_is_refused_from_its_header(tmp_path, width, height, message):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_file(width, height))
    with pytest.raises(DataError, match=message):
        read_picture(path)


def outcome(path):
    """The shape of a picture, or the reason why there is none."""
    try:
        return read_picture(path).pixels.shape[1:]
    except DataError as error:
        return str(error)


def whole_files(write_image):
    """A picture of every format, and what its file holds."""
    for suffix in (".png", ".jpg", ".gif", ".bmp", ".webp", ".tif", ".ppm"):
        path = write_image(f"whole{suffix}", "RGB", (9, 7))
        yield path, path.read_bytes()


def test_every_prefix_of_a_file_is_refused_or_read_and_nothing_else(write_image):
    for path, content in whole_files(write_image):
        for length in range(0, len(content), max(1, len(content) // 20)):
            path.write_bytes(content[:length])
            found = outcome(path)
            assert found == (9, 7) or isinstance(found, str)


def test_damaged_bytes_are_refused_or_read_and_nothing_else(write_image):
    noise = np.random.default_rng(0)
    for path, content in whole_files(write_image):
        for _ in range(40):
            damaged = bytearray(content)
            for place in noise.integers(0, min(len(content), 80), 3):
                damaged[place] = noise.integers(256)
            path.write_bytes(bytes(damaged))
            assert "\n" not in str(outcome(path))


def test_every_suffix_has_a_format_that_is_read():
    known = Image.registered_extensions()
    assert {known[suffix] for suffix in SUFFIXES} == set(FORMATS)
    assert MAX_PIXELS < Image.MAX_IMAGE_PIXELS


def test_a_jpeg_of_many_scans_is_refused(tmp_path):
    buffer = io.BytesIO()
    Image.new("L", (64, 64)).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    scan = content[content.rindex(b"\xff\xda") : -2]
    path = tmp_path / "a.jpg"
    path.write_bytes(content[:-2] + 190 * scan + content[-2:])
    assert read_picture(path).pixels.shape == (1, 64, 64)
    path.write_bytes(content[:-2] + 200 * scan + content[-2:])
    with pytest.raises(DataError, match="more than 200 scans"):
        read_picture(path)


def test_scans_are_counted_in_a_jpeg_of_several_pictures_too(tmp_path):
    first, second = (Image.fromarray(np.full((8, 8), grey, np.uint8)) for grey in (0, 9))
    first.save(path := tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second])
    assert read_picture(path).notes == ("first of several frames taken",)
    path.write_bytes(path.read_bytes() + b"\xff\xda" * 201)
    with pytest.raises(DataError, match="more than 200 scans"):
        read_picture(path)


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"tEXt"])
def test_a_png_whose_texts_fill_the_memory_is_refused(tmp_path, kind):
    text = b"a\0" + (b"x" * 60_000 if kind == b"tEXt" else b"\0" + zlib.compress(bytes(2**24), 9))
    path = tmp_path / "a.png"
    chunks = png_chunk(kind, text) * (1_200 if kind == b"tEXt" else 1)
    path.write_bytes(png_file(4, 4, b"", chunks))
    with pytest.raises(DataError, match=r"too large|Too much memory"):
        read_picture(path)


def test_a_gif_of_very_many_frames_is_read_at_once(tmp_path):
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    (tmp_path / "a.gif").write_bytes(screen + frame * 300_000 + b";")
    assert "first of several frames taken" in read_picture(tmp_path / "a.gif").notes


def test_reading_changes_nothing_in_the_process(tmp_path, write_image):
    before = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    read_picture(write_image("a.png"))
    assert (list(warnings.filters), Image.MAX_IMAGE_PIXELS) == before
    source = inspect.getsource(picture)
    assert "catch_warnings" not in source, "it is not safe among threads"


def test_postscript_is_not_read_whatever_it_is_called(tmp_path):
    for suffix in SUFFIXES:
        path = tmp_path / f"a{suffix}"
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
        with pytest.raises(DataError, match="is not an image"):
            read_picture(path)


def test_a_picture_larger_than_memory_is_a_resource_error(write_image, monkeypatch):
    path, small = write_image("a.png", size=(257, 257)), write_image("small.png")
    monkeypatch.setattr("pixelcnn.memory.available", lambda: 10)
    assert read_picture(small).size == (6, 5)  # of so little nothing is asked
    with pytest.raises(ResourceError, match="bytes of memory"):
        read_picture(path)
    with pytest.raises(ResourceError, match=r"^a\.png needs"):
        data.load_all(path)


DEEP = np.random.default_rng(0).integers(0, 65_536, (5, 7, 4)).astype(np.uint16)


def deep_png(path, pixels):
    """A PNG with two bytes a value."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    colour = {3: 2, 4: 6, 2: 4}[pixels.shape[-1]]
    path.write_bytes(png_file(pixels.shape[1], pixels.shape[0], rows, depth=16, colour=colour))
    return path


def deep_tiff(path, pixels, order):
    """An uncompressed TIFF of three times 16 bits in either byte order."""
    height, width, channels = pixels.shape
    tags = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, 200), (277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, pixels.size * 2),
    ]  # fmt: skip
    body = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 14)
    body += struct.pack(order + "3H", 16, 16, 16) + struct.pack(order + "H", len(tags))
    for tag, kind, count, value in tags:
        packed = struct.pack(order + ("H2x" if kind == 3 and count == 1 else "I"), value)
        body += struct.pack(order + "HHI", tag, kind, count) + packed
    path.write_bytes(body.ljust(200, b"\0") + pixels.astype(order + "u2").tobytes())
    return path


@pytest.mark.parametrize("options", [{"wide": True}, {"stored": True}])
@pytest.mark.parametrize("kind", ["png", "opaque", "tiff <", "tiff >"])
def test_colour_of_sixteen_bits_keeps_them(tmp_path, kind, options):
    pixels = DEEP[..., :3]
    if kind.startswith("tiff"):
        path = deep_tiff(tmp_path / "a.tif", pixels, kind[-1])
    else:
        alpha = np.full_like(DEEP[..., :1], 65_535)
        whole = np.concatenate([pixels, alpha], -1) if kind == "opaque" else pixels
        path = deep_png(tmp_path / "a.png", whole)
    picture = read_picture(path, How(**options))
    assert (picture.bits, picture.pixels.dtype) == (16, np.uint16)
    assert np.array_equal(picture.pixels, pixels.transpose(2, 0, 1))
    assert picture.notes == (("opaque alpha channel dropped",) if kind == "opaque" else ())
    assert picture.largest == pixels.max()
    narrow = read_picture(path)
    assert np.array_equal(narrow.pixels, pixels.transpose(2, 0, 1) >> 8)
    assert narrow.notes[0] == "16 bits reduced to 8"


@pytest.mark.parametrize("channels", [2, 4])
def test_transparent_colour_of_sixteen_bits_says_what_is_dropped(tmp_path, channels):
    path = deep_png(tmp_path / "a.png", DEEP[..., :channels])
    assert "16 bits reduced to 8" in read_picture(path, How(wide=True)).notes
    with pytest.raises(DataError, match="8 of its 16 bits only"):
        read_picture(path, How(stored=True))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_grey_of_few_bits_is_read_as_stored(tmp_path, depth):
    values = np.random.default_rng(0).integers(0, 2**depth, (3, 8), np.uint8)
    bits = (values[..., None] >> np.arange(depth)[::-1]) & 1
    rows = b"".join(b"\0" + np.packbits(row.flatten()).tobytes() for row in bits)
    path = tmp_path / "a.png"
    path.write_bytes(png_file(8, 3, rows, depth=depth))
    assert np.array_equal(read_picture(path, How(stored=True)).pixels[0], values)
    assert np.array_equal(read_picture(path).pixels[0], values * (255 // (2**depth - 1)))


@pytest.mark.parametrize(("maxval", "magic"), [(15, "P5"), (4095, "P5"), (999, "P2"), (100, "P6")])
def test_a_maxval_is_told_and_undone(tmp_path, maxval, magic):
    channels = 3 if magic == "P6" else 1
    values = np.arange(24 * channels) * maxval // (24 * channels - 1)
    body = values.astype(">u2" if maxval > 255 else "u1").tobytes()
    body = " ".join(map(str, values)).encode() if magic == "P2" else body
    path = tmp_path / "a.pnm"
    path.write_bytes(f"{magic} 6 4 {maxval}\n".encode() + body)
    picture = read_picture(path, How(stored=True))
    expected = values.reshape(4, 6, channels).transpose(2, 0, 1)
    assert np.array_equal(picture.pixels, expected)
    assert not picture.notes
    assert f"values 0 to {maxval} stretched over the whole range" in read_picture(path).notes


def test_colour_of_a_large_maxval_says_what_is_dropped(tmp_path):
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P6 1 1 65535\n" + struct.pack(">3H", 256, 512, 65_535))
    assert read_picture(path, How(wide=True)).notes == ("16 bits reduced to 8",)
    with pytest.raises(DataError, match="8 of its 16 bits only"):
        read_picture(path, How(stored=True))


def white_is_zero(pixels):
    """A TIFF of one strip in which zero is white, as scanners of gels and of X-rays write it."""
    height, width = pixels.shape
    tags = {
        256: width,
        257: height,
        258: 8 * pixels.itemsize,
        259: 1,
        262: 0,
        273: 8,
        277: 1,
        278: height,
        279: pixels.nbytes,
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + pixels.nbytes) + pixels.tobytes() + directory


@pytest.mark.parametrize("kind", ["<u1", "<u2"])
def test_where_zero_is_white_it_is_white(kind):
    negative = np.random.default_rng(0).integers(0, 256, (5, 7)).astype(kind)
    negative = negative * 257 if negative.itemsize == 2 else negative
    expected = (255 - negative // 257 if negative.itemsize == 2 else 255 - negative).astype(
        np.uint8
    )
    assert np.array_equal(read_picture(white_is_zero(negative)).pixels[0], expected)
    with Image.open(io.BytesIO(white_is_zero(negative))) as image:
        assert np.array_equal(read_picture(image).pixels[0], expected)
    wide = read_picture(white_is_zero(negative), How(wide=True)).pixels[0]
    assert np.array_equal(wide, expected.astype(np.uint16) * 257)


STACKS = {"uint8": 256, "uint16": 65_536, "bool": 2}


@pytest.mark.parametrize("kind", STACKS)
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_a_tiff_that_is_given_alone_is_a_set_of_its_pages(tmp_path, kind, compression):
    stack = np.random.default_rng(0).integers(0, STACKS[kind], (11, 5, 7)).astype(kind)
    first, *others = map(Image.fromarray, stack)
    first.save(
        path := tmp_path / "s.tif", save_all=True, append_images=others, compression=compression
    )
    images = data.load_all(path, source_levels=STACKS[kind])
    assert np.array_equal(images.images[:, 0].numpy(), stack)
    assert images.names[-1] == "s.tif, page 11"


def test_a_tiff_with_smaller_views_of_its_first_page_is_one_image(tmp_path):
    sides = (8, 4, 2)
    first, *others = [Image.new("L", (side, side), side) for side in sides]
    first.save(path := tmp_path / "s.tif", save_all=True, append_images=others)
    assert data.load_all(path).images.shape == (1, 1, 8, 8)


def test_a_tiff_of_pages_that_is_cut_short_is_refused(tmp_path):
    first, *others = [Image.new("L", (9, 9), side) for side in range(9)]
    first.save(path := tmp_path / "s.tif", save_all=True, append_images=others)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DataError, match=r"s\.tif"), warnings.catch_warnings(action="ignore"):
        data.load_all(path)


def test_a_damaged_page_of_a_tiff_is_named_and_may_be_left_out(tmp_path):
    stack = np.random.default_rng(0).integers(0, 256, (4, 9, 9), np.uint8)
    first, *others = map(Image.fromarray, stack)
    path = tmp_path / "s.tif"
    first.save(path, save_all=True, append_images=others, compression="tiff_lzw")
    with Image.open(path) as image:
        image.seek(2)
        start = image.tag_v2[273][0]
    content = bytearray(path.read_bytes())
    content[start : start + 20] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"s\.tif, page 3 is not an image"):
        data.load_all(path)
    images = data.load_all(path, skip_bad=True)
    assert np.array_equal(images.images[:, 0].numpy(), stack[[0, 1, 3]])
    assert images.skipped == 1
