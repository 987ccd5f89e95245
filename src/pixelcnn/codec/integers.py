"""A model in whole numbers: its integer twin, for images of any shape, and what tells twins apart."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from torch import Tensor

from pixelcnn.codec.bounds import check_arithmetic
from pixelcnn.codec.coding import Integers
from pixelcnn.codec.container import FINGERPRINT, VERSION
from pixelcnn.codec.fixed import PRECISIONS, Precision
from pixelcnn.codec.frequencies import finer
from pixelcnn.codec.twin import Twin
from pixelcnn.codec.weights import settled
from pixelcnn.config import to_config
from pixelcnn.engines.programs import program_of
from pixelcnn.engines.trace import trace
from pixelcnn.errors import ModelError
from pixelcnn.model import PixelModel
from pixelcnn.networks import Network
from pixelcnn.outputs import OUTPUTS
from pixelcnn.program import Program, Unlowerable
from pixelcnn.shapes import ImageShape

RANGES = "activation_ranges"
"""Key of a model's record that holds the largest values of its program's nodes."""
PRECISION = "integer_precision"
"""Key of the name in :data:`PRECISIONS` with which its sums are taken; ``single`` without one."""


class _Kept(NamedTuple):
    """A twin, and what it was made from."""

    program: Program
    key: object
    twin: Twin
    fingerprint: bytes


_twins: WeakKeyDictionary[Network, _Kept] = WeakKeyDictionary()
"""Of each network the latest."""


def integers(model: PixelModel, shape: ImageShape) -> tuple[Integers, bytes]:
    """A model in whole numbers for images of a shape, and the fingerprint of its twin.

    Raises:
        ModelError: see :func:`twin_of` and :func:`of_shape`.
    """
    twin, name = twin_of(model)
    return of_shape(model, twin, shape), name


def twin_of(model: PixelModel) -> tuple[Twin, bytes]:
    """The integer twin of a model, for images of any shape, and its fingerprint.

    Raises:
        ModelError: it was never calibrated, or has no integer form.
    """
    known, name = model.record.get(RANGES), model.record.get(PRECISION, "single")
    check_arithmetic()
    with integer_form():
        program = program_of(model)
        if known is None:
            _made(model, program, [1.0] * len(program.nodes), PRECISIONS["single"])
            raise ModelError(
                "this model does not say how large its values become",
                hint="'pixelcnn train --resume' of its run looks, or pixelcnn.calibrate(model, images),"
                " images like those to be compressed, and save it",
            )
        if name not in PRECISIONS:
            raise Unlowerable(
                f"sums of {name!r} precision, which is none of {', '.join(PRECISIONS)}"
            )
        key = (tuple(known), name, model.output)
        kept = _twins.get(model.network)
        if kept is None or kept.program is not program or kept.key != key:
            if len(known) != len(program.nodes):
                raise Unlowerable(
                    f"{len(known)} ranges for a program of {len(program.nodes)} nodes"
                )
            twin = _made(model, program, known, PRECISIONS[name])
            kept = _twins[model.network] = _Kept(program, key, twin, fingerprint(twin, model))
        return kept.twin, kept.fingerprint


def _made(model: PixelModel, program: Program, ranges: list[float], precision: Precision) -> Twin:
    """The twin of a model that has this program.

    Raises:
        Unlowerable: it has no integer form, whatever the ranges; or none with these.
    """
    network = settled(model.network)
    exact = program if network is model.network else trace(network)
    return Twin(exact, model.levels, ranges, precision)


def fingerprint(twin: Twin, model: PixelModel) -> bytes:
    """What tells integer twins apart: a hash of every number of theirs."""
    output = json.dumps(to_config(OUTPUTS, model.output), sort_keys=True)
    between = f" {bits} bits between entries" if (bits := finer(model.output)) else ""
    text = f"pixelcnn twin {VERSION} {twin.scale!r} {output}{between}\n"
    found = hashlib.sha256(text.encode())
    for node in twin.program.nodes:
        found.update(node.op.encode())
        for value in (getattr(node, field.name) for field in fields(node)):
            for part in _parts(value):
                found.update(part)
    return found.digest()[:FINGERPRINT]


def _parts(value: Any) -> Iterator[bytes]:
    """The bytes of a node's attribute."""
    if isinstance(value, Tensor):
        yield repr(tuple(value.shape)).encode()
        yield np.ascontiguousarray(value.double().numpy(), "<f8").tobytes()
    elif isinstance(value, tuple):
        for item in value:
            yield from _parts(item)
    else:
        yield f"{value!r};".encode()


def of_shape(model: PixelModel, twin: Twin, shape: ImageShape) -> Integers:
    """A model in whole numbers for images of a shape.

    Raises:
        ModelError: it is for other channels, or for smaller ones.
    """
    rows, columns = model.network.largest or shape[1:]
    if shape.channels != model.shape.channels or shape.height > rows or shape.width > columns:
        raise ModelError(f"this model is for {model.shape} images, got one of {shape}")
    return Integers(model, twin, shape)


@contextlib.contextmanager
def integer_form() -> Iterator[None]:
    """Says of a model without an integer form why it has none."""
    try:
        yield
    except Unlowerable as error:
        raise ModelError(
            f"this model has no integer form: {error}",
            hint="which networks have one: docs/format.md, The frequencies",
        ) from error
