"""What a function, a constructor or a dataclass is told is checked against its annotations, in one place.

The annotation of an option is its rule, as in ``width: Annotated[int, Range(1, 16_384)]``, see
:func:`pixelcnn.annotations.fitting`.

Constructor arguments are the configuration. A registered class stores every one under its own name. So its
configuration is read back from the instance, is JSON, and builds the same thing again.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ParamSpec, TypeVar, Unpack, get_args, get_origin
from typing import get_type_hints as hints_of

from pixelcnn.annotations import Range, Unfit, choice, described, fitting, one_of, shown
from pixelcnn.errors import ConfigError
from pixelcnn.registry import Registry, closest
from pixelcnn.shapes import MAX_CHANNELS, MAX_LEVELS

T = TypeVar("T")
P = ParamSpec("P")
Config = dict[str, Any]

MAX_INTEGER = MAX_CHANNELS * MAX_LEVELS
"""As large as the ``out`` of a network may be, the largest argument there is."""
VAR_KEYWORD = inspect.Parameter.VAR_KEYWORD
SEVERAL = (inspect.Parameter.VAR_POSITIONAL, VAR_KEYWORD)


def checked(name: str, value: object, kind: Any, hint: str | Callable[[], str] = "") -> Any:
    """A value in plain types, as :func:`pixelcnn.annotations.fitting` gives it.

    Raises:
        ConfigError: it does not fit; ``name`` says what, ``hint`` what to do about it.

    Example:
        >>> checked("dropout", 3, Annotated[float, Range(0, 1)])
        Traceback (most recent call last):
        pixelcnn.errors.ConfigError: dropout must be a number from 0 to 1, got 3
    """
    try:
        return fitting(value, kind)
    except Unfit:
        remedy = hint if isinstance(hint, str) else hint()
        message = f"{name} must be {described(kind)}, got {shown(value)}"
        raise ConfigError(message, hint=remedy) from None


def check_integer(name: str, value: object, low: int, high: int) -> int:
    """The value as an ``int``; raises :class:`ConfigError` unless it is an integer in ``[low, high]``."""
    return checked(name, value, Annotated[int, Range(low, high)])


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raises :class:`ConfigError` unless ``value`` is one of ``choices``."""
    try:
        choice(value, choices)
    except Unfit:
        message = f"{name} must be {one_of(choices)}, got {shown(value)}"
        raise ConfigError(message) from None


def check_keys(what: str, keys: Iterable[object], known: Iterable[str]) -> None:
    """Refuses keys that mean nothing.

    Raises:
        ConfigError: names the key, what was probably meant, and what is known.

    Example:
        >>> try:
        ...     check_keys("option", ["epoch"], ["epochs", "seed"])
        ... except ConfigError as error:
        ...     print(error)
        no option called 'epoch'. Did you mean 'epochs'?
    """
    known = list(known)
    for key in keys:
        if key not in known:
            raise ConfigError(
                f"no {what} called {shown(key)}.{closest(str(key), known)}",
                hint=f"known: {', '.join(known)}",
            )


def arguments(kind: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a function, or of a constructor without ``self``."""
    return dict(_signature(kind).parameters)


@functools.cache
def _signature(kind: Callable[..., Any]) -> inspect.Signature:
    """A signature in which the keys of ``**options: Unpack[Options]`` are parameters of their own."""
    signature = inspect.signature(kind)
    options = _unpacked(kind)
    single = [each for each in signature.parameters.values() if each.kind is not VAR_KEYWORD]
    rest = [each for each in signature.parameters.values() if each.kind is VAR_KEYWORD]
    named = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY) for key in options or ()]
    return signature.replace(parameters=[*single, *(rest if options is None else named)])


@functools.cache
def annotations(kind: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of the parameters; none where they cannot be read."""
    try:
        found = hints_of(kind.__init__ if isinstance(kind, type) else kind, include_extras=True)  # type: ignore[misc]
    except (NameError, TypeError):
        return {}
    return found | (_unpacked(kind) or {})


def _unpacked(kind: Callable[..., Any]) -> dict[str, Any] | None:
    """The annotations of a function's ``**options: Unpack[Options]``; None if it has none."""
    for parameter in inspect.signature(kind).parameters.values():
        if parameter.kind is VAR_KEYWORD and get_origin(parameter.annotation) is Unpack:
            return hints_of(get_args(parameter.annotation)[0], include_extras=True)
    return None


def check_values(kind: Callable[..., Any], values: Mapping[str, Any], prefix: str = "") -> Config:
    """Arguments of a function or constructor, in plain types.

    Raises:
        ConfigError: one that does not fit its annotation; ``prefix`` stands before its name.
    """
    known, kinds = arguments(kind), annotations(kind)
    return {
        name: checked(
            f"{prefix}{name}",
            value,
            kinds.get(name, Any),
            functools.partial(_remedy, known.get(name)),
        )
        for name, value in values.items()
    }


def _remedy(parameter: inspect.Parameter | None) -> str:
    if parameter is None:
        return ""
    if parameter.default is parameter.empty:
        return "leave it out" if parameter.kind is parameter.KEYWORD_ONLY else ""
    return f"leave it out for the default, {shown(parameter.default)}"


def gated(function: Callable[P, T]) -> Callable[P, T]:
    """Has every call of a function, or of a constructor, check its arguments against their annotations.

    Example:
        >>> @gated
        ... def squared(side: int = 1) -> int:
        ...     return side * side
        >>> try:
        ...     squared(True)
        ... except ConfigError as error:
        ...     print(error)
        side must be an integer, got True
    """
    signature = inspect.signature(function)
    single = [name for name, each in signature.parameters.items() if each.kind not in SEVERAL]
    rest = next((n for n, p in signature.parameters.items() if p.kind is VAR_KEYWORD), "")
    options = _unpacked(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # its own message names the function
        if options is not None:
            check_keys("option", kwargs, [*single, *options])
        given = {name: bound.arguments[name] for name in single if name in bound.arguments}
        bound.arguments.update(check_values(function, given))
        if options is not None:
            named = {name: value for name, value in kwargs.items() if name not in single}
            bound.arguments[rest] = check_values(function, named)
        return function(*bound.args, **bound.kwargs)

    return call


def check_fields(instance: Any, prefix: str = "") -> None:
    """Gives every field of a dataclass its plain type.

    Raises:
        ConfigError: a field that does not fit its annotation; ``prefix`` stands before its name.
    """
    given = {field.name: getattr(instance, field.name) for field in dataclasses.fields(instance)}
    for name, value in check_values(type(instance), given, prefix).items():
        object.__setattr__(instance, name, value)


def to_config(registry: Registry[T], thing: T) -> Config:
    """``{"name": registered name, argument: value, ...}`` in JSON types (tuples become lists).

    Raises:
        ConfigError: it is not registered, does not keep an argument, or keeps one that is no plain value.
    """
    found: Config = {"name": registry.name_of(type(thing))}
    for name, parameter in arguments(type(thing)).items():
        if parameter.kind in SEVERAL:
            raise ConfigError(
                f"{type(thing).__name__} takes {str(parameter).split(':')[0]}, and what a model file"
                " holds are arguments with names",
                hint="name each of them in __init__, and keep it under its name",
            )
        if not hasattr(thing, name):
            raise ConfigError(
                f"{type(thing).__name__} does not keep its argument {name}",
                hint=f"say self.{name} = {name} in __init__: that is what a model file holds of it",
            )
        value = getattr(thing, name)
        check_plain(f"{type(thing).__name__}.{name}", value)
        found[name] = list(value) if isinstance(value, tuple) else value
    return found


def from_config(registry: Registry[T], config: Config) -> T:
    """Builds what :func:`to_config` described.

    Raises:
        ConfigError: an unknown name or argument, a missing argument, or a value that does not fit.
    """
    values = dict(config)
    name = values.pop("name", None)
    kind = registry[name]
    known = arguments(kind)
    check_keys(f"argument of {registry.kind} {name!r}", values, known)
    missing = [k for k, p in known.items() if p.default is p.empty and k not in values]
    if missing:
        raise ConfigError(f"{registry.kind} {name!r} needs {', '.join(missing)}")
    plain = check_values(kind, values, f"{registry.kind}.")
    for key, value in plain.items():
        check_plain(f"{registry.kind}.{key}", value)
    try:
        return kind(**plain)
    except TypeError as error:
        raise ConfigError(f"{registry.kind} {name!r}: {error}") from error


def check_plain(name: str, value: object) -> None:
    """Refuses what no configuration contains: nested objects, huge numbers, long texts."""
    if isinstance(value, tuple | list):
        if len(value) > 64:
            raise ConfigError(f"{name}: a list of {len(value)} values is too long")
        for item in value:
            check_plain(name, item)
    elif isinstance(value, bool | float) or value is None:
        return
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise ConfigError(
                f"{name} = {shown(value)} is out of range", hint=f"at most {MAX_INTEGER}"
            )
    elif not isinstance(value, str) or len(value) > 200:
        raise ConfigError(
            f"{name}: cannot use a {type(value).__name__} here",
            hint="a configuration holds numbers, short texts, true, false, none, and lists of these",
        )
