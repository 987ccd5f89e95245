"""Compressed images: every byte damaged, and files with right checksums that lie or ask for too much."""

import contextlib
import zlib
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

import pixelcnn as px
from fuzz import mutation
from fuzz.case import Campaign, Case, Fault
from pixelcnn import checkpoint, networks, outputs
from pixelcnn.model import PixelModel

NUMBERS = (
    0, 1, 2, 7, 127, 128, 255, 1_023, 1_024, 1_025, 65_535, 65_536, 2**24, 2**31, 2**32 - 1, 2**32
)  # fmt: skip
"""Written as sizes and counts."""
REPAIRED = 5
"""Kinds of damage from this one on come with right checksums: then other images than before may come back."""
COMMANDS = 25
"""One case in so many goes through the command line."""


class Agreeing(int):
    """A checksum that equals whatever it is compared with, as if a file's had been repaired."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


def repaired() -> Any:
    """While it lasts, all CRC-32 are right."""
    plain = zlib.crc32
    return mock.patch.object(zlib, "crc32", lambda *given: Agreeing(plain(*given)))


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the last byte has its highest bit clear."""
    found = bytearray()
    while number >= 128:
        found.append(number % 128 + 128)
        number //= 128
    return bytes([*found, number])


class Packed(Campaign):
    """A damaged file gives the exact images or the codec's error."""

    name = "packed"
    about = "damaged .pxc files, also with right checksums (decompress, info), 10 a case"
    full = 1_000
    few = 2
    inputs = 10
    seconds = 60.0
    room = 2**26

    def prepare(self, folder: Path) -> None:
        torch.manual_seed(0)
        self.models = [likely(None), likely("label")]
        self.paths: list[Path] = []
        self.packed: list[tuple[int, Any, bytes]] = []
        for number, model in enumerate(self.models):
            labels = torch.arange(6) % 3 if model.network.condition else None
            images = px.sample(model, 6, seed=0, condition=labels).numpy()
            px.calibrate(model, images, labels)
            path = folder / f"{number}.safetensors"
            checkpoint.save(model, path)
            self.paths.append(path)
            self.packed.append((number, images, px.compress(model, images, labels)))
            several = [images[0], images[1, :, :9], images[2, :, :, :13], images[3, :, :9]]
            some = None if labels is None else labels[:4]
            self.packed.append((number, several, px.compress(model, several, some)))
        for number, images, packed in self.packed:
            assert same(px.decompress(self.models[number], packed), images)

    def run(self, case: Case) -> None:
        for _ in range(self.inputs):
            number, images, packed = case.draw.choice(self.packed)
            kind = case.draw.randrange(10)
            content = self.damaged(case, packed, kind)
            case.tell(f"kind {kind}, model {number}: {content.hex()}")
            with repaired() if kind >= REPAIRED else contextlib.nullcontext():
                found = case.call(px.decompress, self.models[number], content)
            if found is None:
                continue
            if kind < REPAIRED and not same(found, images):
                raise Fault("content", "other images came back")
            if any(one.size and one.max() >= self.models[number].levels for one in found):
                raise Fault("content", "levels that the model does not know came back")
        if case.number % COMMANDS == 0:
            self.command(case)

    def damaged(self, case: Case, packed: bytes, kind: int) -> bytes:
        """Another file; from kind REPAIRED on it is read as one whose checksums were repaired."""
        if kind in (0, 9):  # a piece of another file
            _, _, other = case.draw.choice(self.packed)
            at, start = mutation.place(case.draw, packed), mutation.place(case.draw, other)
            return packed[:at] + other[start:]
        if kind in (1, 2, 7, 8):  # a number in the header, or of a block, is another
            at = case.draw.randrange(8, len(packed))
            new = case.draw.choice([varint, lambda n: n.to_bytes(5, "little")[:4]])(
                case.draw.choice(NUMBERS)
            )
            return packed[:at] + new + packed[at + case.draw.randrange(len(new) + 1) :]
        return mutation.mutated(case.draw, packed)

    def command(self, case: Case) -> None:
        """The same through the command line, without a repair."""
        number, _, packed = case.draw.choice(self.packed)
        content = mutation.mutated(case.draw, packed)
        file = case.write("x.pxc", content)
        code = case.command("decompress", self.paths[number], file, "-t").code
        if (code == 0) != (content == packed) or code not in (0, 3, 4):
            raise Fault(
                "exit code",
                f"{code} for a file that is {'whole' if content == packed else 'damaged'}",
            )
        case.command("info", file)


def likely(condition: str | None) -> PixelModel:
    """A small model of any size whose images take few bits, so that they are coded and not stored."""
    output = outputs.Categorical(levels=5) if condition else outputs.Bernoulli()
    network = networks.PixelCNN(
        1, output.parameters_per_pixel(1), width=4, depth=1, first_kernel=3, kernel=3,
        condition=condition, condition_size=3 if condition else 0,
    )  # fmt: skip
    with torch.no_grad():
        bias = network.head[-1].bias
        bias[0] += 4.0 if condition else -4.0
    return PixelModel(network, output, (1, 16, 16)).eval()


def same(found: Any, images: Any) -> bool:
    """Whether the same arrays came back, of the same type and in the same form."""
    if isinstance(images, list):
        return (
            isinstance(found, list)
            and len(found) == len(images)
            and all(same(one, other) for one, other in zip(found, images, strict=True))
        )
    return (
        isinstance(found, np.ndarray)
        and found.dtype == images.dtype
        and np.array_equal(found, images)
    )
