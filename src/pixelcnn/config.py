"""Constructor arguments are the configuration.

A registered class stores every constructor argument under its own name. So its configuration is read
back from the instance, is JSON, and builds the same thing again.
"""

import inspect
from typing import Any, TypeVar

from pixelcnn.errors import ConfigError
from pixelcnn.registry import Registry, closest

T = TypeVar("T")
Config = dict[str, Any]

MAX_INTEGER = 1_000_000


def arguments(kind: type) -> dict[str, inspect.Parameter]:
    """The constructor's parameters, without ``self``."""
    return dict(inspect.signature(kind).parameters)


def to_config(registry: Registry[T], thing: T) -> Config:
    """``{"name": registered name, argument: value, ...}`` in JSON types (tuples become lists)."""
    values = {name: getattr(thing, name) for name in arguments(type(thing))}
    plain = {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
    return {"name": registry.name_of(type(thing)), **plain}


def from_config(registry: Registry[T], config: Config) -> T:
    """Builds what :func:`to_config` described.

    Raises:
        ConfigError: an unknown name or argument, a missing argument, or a value of the wrong type.
    """
    values = dict(config)
    name = values.pop("name", None)
    kind = registry[name]
    known = arguments(kind)
    for key, value in values.items():
        if key not in known:
            raise ConfigError(
                f"{registry.kind} {name!r} has no argument {key!r}.{closest(key, list(known))}",
                hint=f"it takes: {', '.join(known)}",
            )
        check_json_value(f"{registry.kind}.{key}", value)
    missing = [k for k, p in known.items() if p.default is p.empty and k not in values]
    if missing:
        raise ConfigError(f"{registry.kind} {name!r} needs {', '.join(missing)}")
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        return kind(**plain)
    except TypeError as error:
        raise ConfigError(f"{registry.kind} {name!r}: {error}") from error


def check_json_value(name: str, value: object) -> None:
    """Refuses what no configuration contains: nested objects, huge numbers, long texts."""
    if isinstance(value, list):
        if len(value) > 64:
            raise ConfigError(f"{name}: a list of {len(value)} values is too long")
        for item in value:
            check_json_value(name, item)
    elif isinstance(value, bool | float) or value is None:
        return
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise ConfigError(f"{name} = {value} is out of range", hint=f"at most {MAX_INTEGER}")
    elif not isinstance(value, str) or len(value) > 200:
        raise ConfigError(f"{name}: cannot use a {type(value).__name__} here")


def check_integer(name: str, value: object, low: int, high: int) -> None:
    """Raises :class:`ConfigError` unless ``value`` is an integer in ``[low, high]``."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"{name} must be an integer from {low} to {high}, got {value!r}")


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Raises :class:`ConfigError` unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
