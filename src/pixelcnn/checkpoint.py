"""One safetensors file is one model: weights, and the configuration and training record in its header.

Nothing in a file is trusted. The header is read and checked before anything is allocated, sizes are
compared with the file's own length, what the configuration asks for with what the file holds, and digests
of the header and of the weights must agree.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from pixelcnn import record as records
from pixelcnn.budget import Budget, OverBudget
from pixelcnn.config import check_choice, checked
from pixelcnn.data.opening import brief
from pixelcnn.devices import Device, move, no_model, require_numbers, resolve_device
from pixelcnn.errors import ConfigError, ModelError, writing
from pixelcnn.files import AnyPath, write_atomically
from pixelcnn.folders import BEST, at_home, run_folders
from pixelcnn.json_text import strict_json
from pixelcnn.memory import afford
from pixelcnn.model import PixelModel
from pixelcnn.model_file import FLOATS, KEY, KINDS, Layout, ModelFile, damaged, header_of
from pixelcnn.modes import COMPILED
from pixelcnn.registry import closest, known
from pixelcnn.streams import DrawFrom
from pixelcnn.surroundings import independent
from pixelcnn.weights import (
    HALVES,
    RAW,
    Unlike,
    apart,
    check_finite,
    check_types,
    compare,
    compare_parts,
    fingerprint,
    rounded,
    widened,
)

FORMAT = 1
COMPUTES = "float32"
"""What a model computes in whose weights are kept in half precision to save space."""


@independent
def save(
    model: PixelModel,
    path: str | os.PathLike[str],
    *,
    raw: Mapping[str, Tensor] | None = None,
    dtype: str | None = None,
) -> None:
    """Writes a model as one file: whole or not at all.

    Args:
        model: its weights are what ``load`` gives by default.
        path: of the file, by convention ending in ``.safetensors``.
        raw: the weights before averaging, kept beside the model's averaged ones.
        dtype: ``"float16"`` or ``"bfloat16"``: weights are rounded to it, which halves the file. ``load``
            gives the rounded ones in float32; what was measured before they were rounded is not quite theirs.
            None keeps them as they are.

    Raises:
        ModelError: a weight is not a finite number, or of a type that files do not hold; the model is not
            what its configuration builds; or the record is not what :mod:`pixelcnn.record` expects.
        ConfigError: another ``dtype``, or a path that is none or cannot be written.
        ResourceError: the disk is full.
    """
    model, path = uncompiled(model), checked("path", path, AnyPath, "such as 'model.safetensors'")
    whole = model.state_dict() | {RAW + name: tensor for name, tensor in (raw or {}).items()}
    tensors = apart({name: t.detach().cpu().contiguous() for name, t in whole.items()})
    check_types(dict(model.named_parameters()), FLOATS.values())
    check_types(tensors, KINDS.values())
    check_finite(tensors, dict(model.named_buffers()))
    check_rebuilds(model, tensors)
    if dtype is not None:
        check_choice("dtype", dtype, HALVES)
        tensors = rounded(tensors, dtype)
    weights = model.record.get("weights", "raw") if raw is None else "averaged"
    header = {
        "format": FORMAT,
        "config": model.config(),
        "record": records.as_json(model.record | {"weights": weights}),
        "fingerprint": fingerprint(model.config(), widened(tensors) if dtype else tensors),
    } | ({} if dtype is None else {"computes": COMPUTES})
    header["digest"] = _digest(header)
    content = safetensors.torch.save(tensors, {KEY: json.dumps(header, allow_nan=False)})
    with writing(path):
        write_atomically(at_home(path), content)


def check_rebuilds(model: PixelModel, tensors: Mapping[str, Tensor]) -> None:
    """Raises a ModelError if a reader, who builds a model of its configuration, would have another one."""
    config = model.config()
    layouts = {name: Layout(t.dtype, tuple(t.shape)) for name, t in tensors.items()}
    try:
        compare_parts(model, _built(config, layouts))
    except (OverBudget, Unlike, ConfigError) as error:
        raise ModelError(
            f"this model cannot be written, since its configuration builds another one: {error}",
            hint="undo what was done to it by hand, or register a network whose arguments say it",
        ) from error


def uncompiled(model: Any) -> PixelModel:
    """The model inside what ``torch.compile`` made of it, with the names that files have; others as they are.

    Raises:
        ModelError: no model, or one that holds a compiled part or no numbers.
    """
    found = getattr(model, COMPILED, model)
    if not isinstance(found, PixelModel):
        raise no_model(found)
    require_numbers(found)
    inside = [name for name, part in found.named_modules() if hasattr(part, COMPILED)]
    if inside:
        raise ModelError(
            f"{inside[0]} of this model is compiled, and files hold models that are not",
            hint="compile the whole model, torch.compile(model), or in place, model.compile()",
        )
    return found


@independent
def load(
    source: str | os.PathLike[str], *, weights: str = "averaged", device: Device = "cpu"
) -> PixelModel:
    """Reads a model.

    Args:
        source: a model file, a run folder (its ``best.safetensors``), or the name of a shipped model.
        weights: ``"averaged"``, or ``"raw"`` for those before averaging. A file that holds but one kind gives
            that kind.
        device: where to put it, see :func:`pixelcnn.devices.resolve_device`.

    Returns:
        The model in evaluation mode.

    Raises:
        ModelError: no such model, or a file that is damaged or of another kind.
        ConfigError: no such weights, or a device that is not there.
        ResourceError: the weights do not fit into memory.
    """
    path, device = resolve(source), resolve_device(device)
    check_choice("weights", weights, ("averaged", "raw"))
    file = header_of(path)
    header = _header(file)
    size, remedy = file.size * (5 if "computes" in header else 3), "close other programs"
    afford(size, f"the weights of {path.name} need", f"{remedy}, or use a smaller model")
    model = _build(file, header["config"])
    try:
        # Read, not mapped: a file that is cut while it is mapped ends the process with a signal.
        tensors = safetensors.torch.load(path.read_bytes())
    except (SafetensorError, OSError) as error:
        raise damaged(path, f"it has changed while it was read: {error}") from error
    if "computes" in header:
        tensors = widened(tensors)
    if fingerprint(header["config"], tensors) != header.get("fingerprint"):
        raise damaged(path, "its fingerprint does not match its content")
    try:
        check_finite(tensors, dict(model.named_buffers()))
    except ModelError as error:
        raise ModelError(f"{path}: {error}", hint=error.hint) from error
    both = any(name.startswith(RAW) for name in tensors)
    if both and header["record"].get("weights") != "averaged":
        raise damaged(path, "it holds raw weights beside others that are not averaged")
    prefix = RAW if both and weights == "raw" else ""
    chosen = {name: tensors[prefix + name] for name in model.state_dict()}
    floating = [tensor.dtype for tensor in chosen.values() if tensor.is_floating_point()]
    if floating:
        model.to(floating[0])
    model.load_state_dict(chosen)
    model.record = header["record"] | ({"weights": "raw"} if prefix else {})
    return move(model, device).eval()


def describe(source: str | os.PathLike[str]) -> dict[str, Any]:
    """The header of a model file, without reading weights: format, config, record, fingerprint.

    Raises:
        ModelError: as :func:`load`.
    """
    return _header(header_of(resolve(source)))


def shipped() -> dict[str, Path]:
    """Names and files of the models that come with the package."""
    folder = resources.files("pixelcnn") / "models"
    return {file.stem: file for file in sorted(Path(str(folder)).glob("*.safetensors"))}


def resolve(source: str | os.PathLike[str]) -> Path:
    """The model file behind a path, run folder or shipped name.

    Raises:
        ModelError: there is none; it says which are near.
        ConfigError: neither a path nor a name.
    """
    source = checked("a model", source, AnyPath, "a name, a .safetensors file or a run folder")
    path, name, models = at_home(source), str(source), shipped()
    if os.path.isdir(path):
        if os.path.isfile(path / BEST):
            return path / BEST
        runs = run_folders(path)
        hint = f"give a run folder; {known(name, runs)}" if runs else "train a model first"
        if name in models:
            hint = f"the model of this name that comes with the package is {models[name]}"
        raise ModelError(f"{source}: this folder holds no {BEST}", hint=hint)
    if os.path.isfile(path):  # no error for a name that is too long, as Path has one
        return path
    if name in models:
        return models[name]
    others = [*run_folders(), *models]
    near, said = closest(name, others), brief(repr(name), 300)
    raise ModelError(
        f"no model file, run folder or shipped model called {said}{near and '.'}{near}",
        hint=f"give a .safetensors file or a run folder; {known(name, others)}",
    )


def _digest(header: Mapping[str, Any]) -> str:
    """SHA-256 of a header's content, hexadecimal: the record is no part of the fingerprint."""
    content = {key: value for key, value in header.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _header(file: ModelFile) -> dict[str, Any]:
    """Our part of a file's header, checked."""
    path = file.path
    try:
        header = strict_json(file.text)
        version = header["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged(path, f"no model header ({type(error).__name__})") from error
    if version != FORMAT or isinstance(version, bool):
        raise ModelError(
            f"{path}: model format {str(version)[:20]}, this version reads format {FORMAT}",
            hint="upgrade pixelcnn",
        )
    if not isinstance(header.get("config"), dict):
        raise damaged(path, "no configuration")
    if header.get("computes", COMPUTES) != COMPUTES:
        raise damaged(path, f"it computes in {str(header['computes'])[:20]}")
    if header.get("digest") != _digest(header):
        raise damaged(path, "its header does not match its digest")
    try:
        return header | {"record": records.checked(header.get("record"))}
    except ModelError as error:
        raise ModelError(f"{path}: {error}", hint=error.hint) from error


def _build(file: ModelFile, config: dict[str, Any]) -> PixelModel:
    """The model of a file, whose weights are still to come."""
    try:
        return _built(config, file.tensors)
    except (OverBudget, Unlike) as error:
        reason = f"its weights do not fit its configuration: {error}"
        raise damaged(file.path, reason) from error
    except ConfigError as error:
        raise ModelError(f"{file.path}: {error}", hint=error.hint) from error


def _built(config: dict[str, Any], tensors: Mapping[str, Layout]) -> PixelModel:
    """The model of a configuration; one that asks for more than its tensors hold is not even begun.

    Raises:
        OverBudget: it does.
        Unlike: it has other tensors, or levels.
        ConfigError: nothing can be built of it.
    """
    own = [layout for name, layout in tensors.items() if not name.startswith(RAW)]
    budget = Budget(len(own), sum(layout.numbers for layout in own))
    _check_width(config, budget)
    # These weights are replaced at once.
    with DrawFrom(torch.Generator()), budget:
        model = PixelModel.from_config(config)
    if config.get("levels", model.levels) != model.levels:
        raise Unlike(f"{model.levels} levels, not {config['levels']!r}")
    compare(model.state_dict(), tensors)
    return model


def _check_width(config: Mapping[str, Any], budget: Budget) -> None:
    """A network gives no more parameters for a pixel than it has itself: each has a colour, in a tuple."""
    network = config.get("network")
    out = network.get("out") if isinstance(network, dict) else None
    if isinstance(out, int) and out > budget.most:
        raise OverBudget(f"{out:,} parameters for each pixel")
