"""Model files: every byte damaged, and files that are whole but lie or ask for too much."""

import copy
import hashlib
import json
import math
import struct
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

import tiny
from forgery import put_together, taken_apart
from fuzz import mutation, values
from fuzz.case import Campaign, Case, Fault
from pixelcnn import checkpoint
from pixelcnn.config import arguments
from pixelcnn.model import PixelModel
from pixelcnn.networks import NETWORKS
from pixelcnn.outputs import OUTPUTS
from pixelcnn.weights import fingerprint

DTYPES = (
    "F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL", "F8_E4M3", "C64", "X9", 7
)  # fmt: skip


def sealed(header: dict[str, Any], entries: dict[str, Any], body: bytes) -> bytes:
    """A file whose digests are right, as whoever makes a hostile one would see to."""
    try:
        tensors = safetensors.torch.load(put_together("{}", entries, body))
        header["fingerprint"] = fingerprint(header["config"], tensors)
    except Exception:
        header["fingerprint"] = "0" * 64  # no reader gets as far as comparing it
    kept = {key: value for key, value in header.items() if key != "digest"}
    header["digest"] = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
    return put_together(json.dumps(header), entries, body)


def tensors_of(model: PixelModel) -> tuple[dict[str, Any], bytes]:
    """A model's weights as a file holds them."""
    content = safetensors.torch.save({k: t.contiguous() for k, t in model.state_dict().items()})
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


class Models(Campaign):
    """Damaged and hostile model files through ``load``, ``info`` and a sample of what loads."""

    name = "models"
    about = "model files: damaged at every byte, or whole and lying (load, info, sample)"
    full = 8_000
    few = 4

    def prepare(self, folder: Path) -> None:
        torch.manual_seed(0)
        model = tiny.tiny_model(1, 3, 5)
        model.record = {"recipe": "digits", "steps": 3, "validation_quantiles": [1.0, 2.0]}
        path = folder / "whole.safetensors"
        checkpoint.save(model, path)
        self.content = path.read_bytes()
        self.header, self.entries, self.body = taken_apart(self.content)
        text = len(self.content) - len(self.body)
        self.regions = [(0, 8), (8, 40), (8, text), (text, len(self.content))]
        self.outlines = [(name, config) for name in NETWORKS if (config := outline(name))]

    def run(self, case: Case) -> None:
        kinds = (self.damaged, self.damaged, self.lying, self.odd_weights, self.configured)
        content = kinds[case.number % len(kinds)](case)
        path = case.write("m.safetensors", content)
        damaged = case.number % len(kinds) < 2
        model = case.call(checkpoint.load, path)
        info = case.command("info", path)
        if model is None:
            return
        if damaged:
            self.compare(model)
        case.code = info.code
        check_finite(model)
        if model.shape.dimensions <= 1_000:
            sample(case, path, model)

    def damaged(self, case: Case) -> bytes:
        """Bytes damaged, digests as they were."""
        if case.draw.random() < 0.6:
            return mutation.flip(case.draw, self.content, self.regions)
        return mutation.mutated(case.draw, self.content)

    def lying(self, case: Case) -> bytes:
        """Entries of the tensors that do not tell the truth, with right digests where there can be any."""
        header, entries, body = copy.deepcopy((self.header, self.entries, self.body))
        for _ in range(case.draw.choice([1, 1, 2])):
            name = case.draw.choice(list(entries))
            kind = case.draw.randrange(8)
            entry = entries[name]
            if kind == 0:
                entry["dtype"] = case.draw.choice(DTYPES)
            elif kind == 1:
                entry["shape"] = case.draw.choice(
                    [[], [0], [2**40], [-1, 4], [1, *entry["shape"]], entry["shape"][::-1]]
                )
            elif kind == 2:
                entry["data_offsets"] = [
                    case.draw.choice([0, 1, 4, 2**40, 2**64, -1]) for _ in range(2)
                ]
            elif kind == 3:
                del entries[name]
                break
            elif kind == 4:
                entries[case.draw.choice([*values.TEXTS, "raw." + name])] = entries.pop(name)
                break
            elif kind == 5:
                entries[case.draw.choice(["x", "raw.x"])] = dict(entry)
            elif kind == 6:
                body = mutation.mutated(case.draw, body)
            else:
                case.tell(values.altered(case.draw, entries))
                if not entries or not all(isinstance(e, dict) for e in entries.values()):
                    break
        return sealed(header, entries, body)

    def odd_weights(self, case: Case) -> bytes:
        """Weights that are not finite, huge, or of another type, with right digests."""
        header, entries, body = copy.deepcopy((self.header, self.entries, self.body))
        tensors = safetensors.torch.load(put_together("{}", entries, body))
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        chosen = case.draw.choice(list(tensors))
        kind = case.draw.randrange(6)
        if kind < 3:
            flat = tensors[chosen].view(-1)
            value = case.draw.choice([math.nan, math.inf, -math.inf, 3e38, -3e38, 1e-40])
            flat[case.draw.randrange(len(flat))] = value
        elif kind == 3:
            dtype = case.draw.choice(
                [torch.float64, torch.float16, torch.int64, torch.complex64, torch.bool]
            )
            tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        elif kind == 4:
            tensors[chosen] = tensors[chosen].to(
                case.draw.choice([torch.float64, torch.int32, torch.uint8])
            )
        else:
            scale = case.draw.choice([0.0, 1e10, 1e30, -1.0])
            tensors = {name: tensor * scale for name, tensor in tensors.items()}
        content = safetensors.torch.save(tensors)
        (length,) = struct.unpack("<Q", content[:8])
        return sealed(header, json.loads(content[8 : 8 + length]), content[8 + length :])

    def configured(self, case: Case) -> bytes:
        """A configuration with extreme arguments and a right digest; small ones come with their weights."""
        header, entries, body = copy.deepcopy((self.header, self.entries, self.body))
        kind = case.draw.randrange(3)
        if kind == 0:
            case.tell(values.altered(case.draw, header))
            if not isinstance(header.get("config"), dict):
                return sealed(header | {"config": header.get("config")}, entries, body)
        else:
            name, config = case.draw.choice(self.outlines)
            header["config"] = copy.deepcopy(config)
            for _ in range(case.draw.choice([0, 1, 1, 2, 4])):
                part = case.draw.choice(["network", "network", "network", "output"])
                table = header["config"][part]
                key = case.draw.choice([k for k in table if k != "name"] or ["name"])
                table[key] = (
                    values.near(case.draw, table[key])
                    if case.draw.random() < 0.8
                    else values.json_value(case.draw)
                )
                case.tell(f"{name}: {part}.{key} = {values.repr_of(table[key])}")
            if case.draw.random() < 0.2:
                header["config"]["shape"] = case.draw.choice(
                    [[1, 65_536, 65_536], [4, 1, 1], [1, 0, 1], [1], "x", [1, 2**40, 3]]
                )
            entries, body = fitting(header["config"], entries, body)
        return sealed(header, entries, body)

    def compare(self, model: PixelModel) -> None:
        """Holds a damaged file that loads to what the whole one holds."""
        found = {"config": model.config(), "record": model.record}
        wanted = {key: self.header[key] for key in found}
        weights = fingerprint(model.config(), model.state_dict())
        if found != wanted or weights != self.header["fingerprint"]:
            raise Fault("content", "a damaged file loads as another model")


def outline(name: str) -> dict[str, Any] | None:
    """The configuration of a small model with a registered network, every argument spelt out."""
    output = OUTPUTS["categorical"](levels=5)
    network = (
        tiny.small(NETWORKS[name], channels=1, out=5, rows=3, columns=5)
        if "rows" in arguments(NETWORKS[name])
        else tiny.small(NETWORKS[name], channels=1, out=5)
    )
    return json.loads(json.dumps(PixelModel(network, output, (1, 3, 5)).config()))


LARGEST = 100_000
"""Weights of a model that comes with its own, at most."""


def fitting(
    config: dict[str, Any], entries: dict[str, Any], body: bytes
) -> tuple[dict[str, Any], bytes]:
    """Weights that fit a configuration, if it is that of a small model; else those that are there."""
    try:
        if any(isinstance(v, int) and abs(v) > 64 for v in config["network"].values()):
            return entries, body
        model = PixelModel.from_config(config)
    except Exception:
        return entries, body
    return (
        tensors_of(model)
        if sum(p.numel() for p in model.parameters()) < LARGEST
        else (entries, body)
    )


def check_finite(model: PixelModel) -> None:
    """No model is loaded whose weights are not numbers."""
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise Fault("content", f"loads with weights that are not finite: {name}")
        if not tensor.is_floating_point():
            raise Fault(
                "content", f"loads with weights that are no real numbers: {name}, {tensor.dtype}"
            )


def sample(case: Case, path: Path, model: PixelModel) -> None:
    """Draws an image and looks at its levels."""
    condition = model.network.condition
    if condition not in (None, "label"):
        return
    engine = case.draw.choice(["full", "cached", "auto"])
    found = case.command(
        "sample", path, "-n", 1, "--engine", engine, "--out", case.folder / "s.npy"
    )
    case.code = found.code
    if found.code == 0:
        check_levels(case.folder / "s.npy", model.levels)


def check_levels(path: Path, levels: int) -> None:
    """Drawn levels lie in their range."""
    import numpy as np

    drawn = np.load(path)
    if drawn.size and not (drawn.min() >= 0 and drawn.max() < levels):
        raise Fault("content", f"levels from {drawn.min()} to {drawn.max()} of {levels}")
