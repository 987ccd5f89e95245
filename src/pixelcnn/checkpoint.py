"""One safetensors file is one model: weights, and the configuration and training record in its header.

Nothing in a file is trusted. The header is read and checked before anything is allocated, sizes are
compared with the file's own length, and digests of the header and of the weights must agree.
"""

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from pixelcnn.devices import Device, move, resolve_device
from pixelcnn.errors import ConfigError, ModelError, PixelCNNError
from pixelcnn.files import write_atomically
from pixelcnn.model import PixelModel
from pixelcnn.registry import closest
from pixelcnn.streams import DrawFrom

FORMAT = 1
MAX_HEADER = 16 * 2**20
RAW = "raw."
KEY = "pixelcnn"


def save(
    model: PixelModel,
    path: str | os.PathLike[str],
    *,
    raw: Mapping[str, Tensor] | None = None,
) -> None:
    """Writes a model as one file: whole or not at all.

    Args:
        model: its weights are what ``load`` gives by default.
        path: of the file, by convention ending in ``.safetensors``.
        raw: the weights before averaging, kept beside the model's averaged ones.

    Raises:
        ResourceError: the disk is full.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    weights = "raw" if raw is None else "averaged"
    if raw is not None:
        tensors |= {RAW + name: t.detach().cpu().contiguous() for name, t in raw.items()}
    header = {
        "format": FORMAT,
        "config": model.config(),
        "record": model.record | {"weights": weights},
        "fingerprint": fingerprint(model.config(), tensors),
    }
    header["digest"] = _digest(header)
    write_atomically(
        path, safetensors.torch.save(tensors, {KEY: json.dumps(header, allow_nan=False)})
    )


def load(
    source: str | os.PathLike[str], *, weights: str = "averaged", device: Device = "cpu"
) -> PixelModel:
    """Reads a model.

    Args:
        source: a model file, a run folder (its ``best.safetensors``), or the name of a shipped model.
        weights: ``"averaged"``, or ``"raw"`` for those before averaging.
        device: where to put it, see :func:`pixelcnn.devices.resolve_device`.

    Returns:
        The model in evaluation mode.

    Raises:
        ModelError: no such model, or a file that is damaged or of another kind.
        ConfigError: no such weights, or a device that is not there.
    """
    path, device = resolve(source), resolve_device(device)
    header = _header(path)
    try:
        tensors = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _damaged(path, str(error)) from error
    if fingerprint(header["config"], tensors) != header.get("fingerprint"):
        raise _damaged(path, "its fingerprint does not match its content")
    chosen = {k: t for k, t in tensors.items() if not k.startswith(RAW)}
    if weights == "raw" and header["record"].get("weights") == "averaged":
        chosen = {k.removeprefix(RAW): t for k, t in tensors.items() if k.startswith(RAW)}
    elif weights not in ("averaged", "raw"):
        raise ConfigError(f"weights must be 'averaged' or 'raw', got {weights!r}")
    model = _build(path, header["config"], {k: tuple(t.shape) for k, t in chosen.items()})
    model.to(next(iter(chosen.values())).dtype).load_state_dict(chosen)
    model.record = header["record"] | ({"weights": "raw"} if weights == "raw" else {})
    return move(model, device).eval()


def describe(source: str | os.PathLike[str]) -> dict[str, Any]:
    """The header of a model file, without reading weights: format, config, record, fingerprint.

    Raises:
        ModelError: as :func:`load`.
    """
    return _header(resolve(source))


def shipped() -> dict[str, Path]:
    """Names and files of the models that come with the package."""
    folder = resources.files("pixelcnn") / "models"
    files = sorted(Path(str(folder)).glob("*.safetensors"))
    return {file.stem: file for file in files}


def resolve(source: str | os.PathLike[str]) -> Path:
    """The model file behind a path, run folder or shipped name.

    Raises:
        ModelError: there is none.
    """
    path = Path(source)
    if path.is_dir():
        path = path / "best.safetensors"
        if not path.is_file():
            raise ModelError(
                f"{source}: this folder holds no best.safetensors", hint="train a model first"
            )
        return path
    if path.is_file():
        return path
    models = shipped()
    if str(source) in models:
        return models[str(source)]
    known = ", ".join(models) or "none"
    near = closest(str(source), list(models))
    raise ModelError(
        f"no model file, run folder or shipped model called {str(source)!r}.{near}",
        hint=f"give a .safetensors file or a run folder; shipped models: {known}",
    )


def fingerprint(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a configuration and weights, hexadecimal."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _digest(header: Mapping[str, Any]) -> str:
    """SHA-256 of a header's content, hexadecimal: the record is no part of the fingerprint."""
    content = {key: value for key, value in header.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _damaged(path: Path, reason: str) -> ModelError:
    return ModelError(f"{path}: damaged or not a model file: {' '.join(reason.split())[:200]}")


def _header(path: Path) -> dict[str, Any]:
    """Our part of a file's header, checked."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(MAX_HEADER, path.stat().st_size):
                raise _damaged(path, f"a header of {length} bytes")
            metadata = json.loads(file.read(length))["__metadata__"]
        header = json.loads(metadata[KEY])
        version = header["format"]
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except PixelCNNError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, struct.error, RecursionError) as error:
        raise _damaged(path, f"no model header ({type(error).__name__})") from error
    if version != FORMAT:
        raise ModelError(
            f"{path}: model format {version!r}, this version reads format {FORMAT}",
            hint="upgrade pixelcnn",
        )
    if not isinstance(header.get("config"), dict) or not isinstance(header.get("record"), dict):
        raise _damaged(path, "no configuration")
    if header.get("digest") != _digest(header):
        raise _damaged(path, "its header does not match its digest")
    return header


def _build(path: Path, config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> PixelModel:
    """Builds a model, first without memory: a header that asks for more than the file holds stops there."""
    try:
        with torch.device("meta"):
            outline = PixelModel.from_config(config).state_dict()
        if {k: tuple(t.shape) for k, t in outline.items()} != shapes:
            raise _damaged(path, "its weights do not fit its configuration")
        with DrawFrom(torch.Generator()):  # these weights are replaced at once
            return PixelModel.from_config(config)
    except ConfigError as error:
        raise ModelError(f"{path}: {error}", hint=error.hint) from error
