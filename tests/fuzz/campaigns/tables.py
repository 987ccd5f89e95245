"""CSV files: whole ones, damaged as texts and as bytes, and ones that no program writes."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fuzz import mutation
from fuzz.case import Campaign, Case, Fault
from pixelcnn import data
from pixelcnn.data import ImageSet
from pixelcnn.errors import PixelCNNError

ROWS = 6


def numbers(columns: int, rows: int = ROWS) -> list[list[int]]:
    """Values of pixels, always the same."""
    return np.random.default_rng(columns).integers(0, 17, (rows, columns)).tolist()


def text(rows: list[list[int]], header: str = "", end: str = "\n") -> bytes:
    """A table as a program writes it."""
    lines = [header] if header else []
    return (end.join([*lines, *(",".join(map(str, row)) for row in rows)]) + end).encode()


def whole() -> dict[str, bytes]:
    """Tables that can be read, with and without names, labels and colours."""
    names = ",".join(["label", *(f"pixel{i}" for i in range(64))])
    return {
        "plain": text(numbers(64)),
        "labelled": text(numbers(65)),
        "colour": text(numbers(48)),
        "named": text(numbers(65), names),
        "indexed": text([[i, *row] for i, row in enumerate(numbers(64))], "id" + names[5:]),
        "windows": text(numbers(65), names, "\r\n"),
        "marked": b"\xef\xbb\xbf" + text(numbers(65), names),
        "quoted": text(numbers(64)).replace(b",", b'","').replace(b"\n", b'"\n"')[:-1],
    }


HEADERLESS = ("plain", "labelled", "colour")


def link(target: str, path: Path) -> None:
    """A link."""
    path.symlink_to(target)


PLACES: tuple[Callable[[Path], Any], ...] = (
    os.mkfifo,
    Path.mkdir,
    *(functools.partial(link, target) for target in ("/dev/zero", "/dev/null", "nowhere", ".")),
)
"""What may be there in place of a file."""


def hostile(case: Case) -> bytes:
    """A table that no program writes."""
    kind, draw = case.draw.randrange(10), case.draw
    lines = {
        0: b"1," * draw.choice([10, 10**4, 2 * 10**6]) + b"1\n",
        1: b"9" * draw.choice([20, 4_301, 10**6]) + b"\n",
        2: b"\n" * draw.choice([0, 1, 10**5]),
        3: b"," * draw.choice([1, 63, 64, 10**5]) + b"\n",
        4: b'"' + b"a,b\n" * draw.choice([1, 1_000]),
        5: "label,\u0663,\u00bd,\u00b2\n1,2,3,4\n".encode(),
        6: b"\0" * draw.choice([1, 1_000, 10**6]),
        7: b"\xff\xfe" + "1,2\n3,4\n".encode("utf-16-le"),
        8: b"a" * draw.choice([10**3, 10**7]),
        9: draw.randbytes(draw.choice([1, 10, 1_000])),
    }
    return lines[kind]


OPTIONS: dict[str, tuple[object, ...]] = {
    "levels": (None, None, 2, 5, 17, 256, 65_536),
    "skip_bad": (False, False, True),
    "layout": (None, None, "n h w", "n h w c", "nchw"),
    "rgb": (False, False, False, True),
    "size": (None, None, None, 4, (8, 8), (1, 10**6)),
    "fit": ("crop", "crop", "pad"),
    "binarise": (None, None, None, "threshold", "dynamic"),
    "source_levels": (None, None, 17, 256),
    "shape": (None, None, (1, 8, 8), (3, 4, 4)),
}
"""Of ``load_all``."""


class Tables(Campaign):
    """Tables through ``load_all``, ``data check`` and ``score``."""

    name = "tables"
    about = "CSV files (load_all, data check, score)"
    full = 2_500
    few = 8

    def prepare(self, folder: Path) -> None:
        self.whole = whole()

    def run(self, case: Case) -> None:
        path, kind = case.folder / "x.csv", case.draw.randrange(20)
        base = case.draw.choice(list(self.whole))
        if kind == 0:
            case.draw.choice(PLACES)(path)
        else:
            content = self.whole[base] if kind > 4 else hostile(case)
            for _ in range(case.draw.randrange(3)):
                content = mutation.mutated_text(case.draw, content)
            path.write_bytes(content)
        options = {key: case.draw.choice(choices) for key, choices in OPTIONS.items()}
        if case.draw.random() < 0.6:
            options = {"skip_bad": options["skip_bad"]}
        images = read(case, path, options)
        if images is not None and kind > 4 and base in HEADERLESS:
            check_rows(path.read_bytes(), images)


def read(case: Case, path: Path, options: dict[str, Any]) -> ImageSet | None:
    """Reads a path in every way, and looks at the levels of what was read."""
    case.tell(f"data.load_all({path.name!r}, {options})")
    images = case.call(data.load_all, path, **options)
    code = case.code
    if case.number % 4 == 0:
        case.command("data", "check", path, *([["--json"], []][case.draw.randrange(2)]))
    case.code = code
    if images is not None:
        try:
            check_levels(images)
        except PixelCNNError as error:  # damage shows when values are read
            case.tell(f"reading: {str(error)[:500]!r}")
            case.code = case.code or error.exit_code
    return images


def check_levels(images: ImageSet) -> None:
    """Levels lie in their range, whatever was read."""
    found = images.images
    if len(found) and not (int(found.min()) >= 0 and int(found.max()) < images.levels):
        raise Fault(
            "content", f"levels from {int(found.min())} to {int(found.max())} of {images.levels}"
        )
    if images.labels is not None and len(images.labels) != len(images):
        raise Fault("content", f"{len(images.labels)} labels of {len(images)} images")


def check_rows(content: bytes, images: ImageSet) -> None:
    """No row of numbers vanishes: a first row with a few odd values is a bad row, not a row of names."""
    if b'"' in content or b"\r" in content or content.startswith(b"\xef\xbb\xbf"):
        return
    lines = content.split(b"\n")
    rows = [row for row in lines if row.strip(b' "\r\t') and not row.lstrip().startswith(b"#")]
    if not rows:
        return
    fields = rows[0].split(b",")
    numbers = sum(field.strip().isdigit() for field in fields)
    if numbers > len(fields) // 2 and len(images) + images.skipped != len(rows):
        raise Fault("content", f"{len(rows)} rows, {len(images)} images, {images.skipped} skipped")
