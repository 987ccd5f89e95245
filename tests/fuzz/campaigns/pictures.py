"""Picture files: whole ones of every format, damaged, with sizes that lie, and formats nobody asked for."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from cli.conftest import make_tiny
from forgery import png_chunk, png_file
from fuzz import mutation
from fuzz.campaigns.tables import PLACES, check_levels
from fuzz.case import Campaign, Case, Fault
from pixelcnn import checkpoint, data
from pixelcnn.data.picture import SUFFIXES

SIDE = 8
ORIENTATION = 0x0112
COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
WAYS = ("load", "check", "complete", "known", "score")
"""To hand a picture over."""


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """A picture as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def whole() -> dict[str, list[bytes]]:
    """Small pictures of the formats that are read, in every mode, and of formats that are not."""
    draw = np.random.default_rng(0)
    grey = Image.fromarray(draw.integers(0, 256, (SIDE, SIDE), dtype=np.uint8))
    colour = Image.fromarray(draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    deep = Image.fromarray(draw.integers(0, 65_536, (SIDE, SIDE), dtype=np.uint16))
    clear = Image.fromarray(draw.integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8))
    palette, bits = colour.quantize(16), grey.convert("1")
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    frames = {"save_all": True, "append_images": [palette, palette]}
    lossless = {"lossless": True}
    read = [
        *(saved(image, "PNG") for image in (grey, colour, deep, clear, palette, bits, clear.convert("LA"))),
        saved(palette, "PNG", transparency=3), saved(grey, "PNG", exif=exif.tobytes()),
        saved(grey, "JPEG"), saved(colour, "JPEG", exif=exif.tobytes()), saved(colour, "JPEG",
        progressive=True),
        saved(colour.convert("CMYK"), "JPEG"), saved(palette, "GIF"), saved(palette, "GIF", **frames),
        saved(grey, "BMP"), saved(colour, "BMP"), saved(bits, "BMP"), saved(colour, "WEBP"),
        saved(clear, "WEBP", **lossless),
        saved(colour, "WEBP", save_all=True, append_images=[colour]),
        *(saved(colour, "TIFF", compression=way) for way in COMPRESSIONS),
        saved(deep, "TIFF"), saved(bits, "TIFF", compression="group4"), saved(grey.convert("F"), "TIFF"),
        saved(colour, "TIFF", save_all=True, append_images=[grey]), saved(grey, "PPM"), saved(colour, "PPM"),
        saved(bits, "PPM"), saved(deep, "PPM"), b"P2\n8 8\n255\n" + b"7 " * 64, b"P1\n8 8\n" + b"0 1 " * 32,
    ]  # fmt: skip
    foreign = [saved(colour, kind) for kind in ("EPS", "PDF", "ICO", "TGA", "PCX", "SGI", "DDS")]
    foreign += [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n", b"%PDF-1.4\n",
        b"II*\0",
        b"8BPS\0\1" + bytes(40),
        b"SIMPLE  =                    T" + b" " * 3_000, b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\x89HDF\r\n\x1a\n" + bytes(100), b"GRIB" + bytes(50), b"\0\0\1\0" + bytes(60), b"GIF89a",
        b"\x7fELF", b"#!/bin/sh\n",
        b"\xd7\xcd\xc6\x9a" + bytes(60), b"P7\n332\n", b"/* XPM */\n\"8 8 1 1\",",
        b"#define x_width 8\n#define x_height 8\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n%%EndComments\n(/etc/passwd) run\n",
    ]  # fmt: skip
    return {"read": read, "foreign": foreign}


def lying(case: Case) -> bytes:
    """A picture with right checksums that says it is larger than it is, or holds much more than it says."""
    draw = case.draw
    side = [SIDE, SIDE, 0, 1, 65_535, 16_385, 100_000, 2**31 - 1, 2**32 - 1]
    width, height = draw.choice(side), draw.choice(side)
    case.tell(f"{height}x{width}")
    kind = draw.randrange(6)
    if kind == 0:
        depth, colour = draw.choice([1, 2, 4, 8, 16, 3]), draw.choice([0, 2, 3, 4, 6, 5])
        return png_file(
            width, height, bytes(draw.choice([10, 72, 600])), depth=depth, colour=colour
        )
    if kind == 1:
        text = zlib.compress(bytes(draw.choice([100, 10**6, 10**8])), 9)
        extra = png_chunk(draw.choice([b"zTXt", b"iTXt", b"iCCP"]), b"x\0\0" + text)
        return png_file(SIDE, SIDE, bytes(72), extra)
    if kind == 2:
        return png_file(SIDE, SIDE, bytes(10**8))
    if kind == 3:
        word = draw.choice([b"P5", b"P6", b"P2", b"P1", b"P4", b"Pf", b"PyP"])
        largest = draw.choice([1, 255, 65_535, 65_536, 0, 10**30])
        return word + b"\n%d %d\n%d\n" % (width, height, largest) + bytes(64)
    if kind == 4:
        screen = struct.pack("<HHBBB", width % 65_536, height % 65_536, 0, 0, 0)
        return b"GIF89a" + screen + b"," + bytes(20)
    bits = draw.choice([1, 8, 24, 32, 16])
    header = (100, 0, 54, 40, width % 2**31, -(height % 2**31), 1, bits)
    return b"BM" + struct.pack("<IIIIiiHH", *header) + bytes(60)


class Pictures(Campaign):
    """Pictures as data, in a folder, to complete and as a mask of known pixels."""

    name = "pictures"
    about = "picture files (load_all, data check, score, complete, --known)"
    full = 2_500
    few = 4

    def prepare(self, folder: Path) -> None:
        self.whole = whole()
        self.model, self.given = folder / "m.safetensors", folder / "given.png"
        checkpoint.save(make_tiny(), self.model)
        Image.new("L", (SIDE, SIDE), 100).save(self.given)

    def run(self, case: Case) -> None:
        suffix = case.draw.choice(sorted(SUFFIXES)) if case.draw.random() < 0.9 else ".eps"
        kind, place = case.draw.randrange(20), case.folder / "d"
        place.mkdir()
        path = place / f"x{suffix}"
        if kind == 0:
            case.draw.choice(PLACES)(path)
        else:
            path.write_bytes(self.content(case, kind))
        started: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                EpsImagePlugin, "Ghostscript", lambda *_, **__: started.append("Ghostscript")
            )
            self.hand_over(case, WAYS[case.number % len(WAYS)], path)
        if started:
            raise Fault("program", f"{started[0]} is started for a picture")

    def content(self, case: Case, kind: int) -> bytes:
        """What the file holds."""
        if kind < 4:
            return lying(case)
        if kind < 7:
            content = case.draw.choice(self.whole["foreign"])
            return content if case.draw.random() < 0.5 else mutation.mutated(case.draw, content)
        content = case.draw.choice(self.whole["read"])
        return content if kind == 7 else mutation.mutated(case.draw, content)

    def hand_over(self, case: Case, way: str, path: Path) -> None:
        """One of the ways in which a picture reaches the tool."""
        out = ["-n", 1, "--engine", "full", "--out", case.folder / "s.npy"]
        if way == "load":
            images = case.call(data.load_all, path, skip_bad=case.draw.random() < 0.2)
            if images is not None:
                check_levels(images)
        elif way == "check":
            case.command("data", "check", path.parent, *([["--json"], []][case.draw.randrange(2)]))
        elif way == "complete":
            case.command("complete", self.model, path, *out)
        elif way == "known":
            case.command("complete", self.model, self.given, "--known", path, *out)
        else:
            case.command("score", self.model, path.parent, "--json")
