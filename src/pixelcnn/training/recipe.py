"""Recipes: a data set, a network, an output and how to train them, as four TOML tables."""

import dataclasses
import os
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from pixelcnn import data
from pixelcnn.annotations import shown
from pixelcnn.building import DERIVED, adapted, create_model
from pixelcnn.config import arguments, check_keys, check_values, checked
from pixelcnn.data import ImageSet, Splits, tags
from pixelcnn.errors import ConfigError, UnknownName
from pixelcnn.folders import at_home, check_name
from pixelcnn.model import PixelModel
from pixelcnn.networks import NETWORKS
from pixelcnn.outputs import OUTPUTS
from pixelcnn.registry import closest, known
from pixelcnn.text import as_word
from pixelcnn.training import toml
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.published import Published

TABLES = ("data", "network", "output", "training")
LENGTH = ("epochs", "max_time")
FREE = (*LENGTH, "device", "devices", "nodes", "micro_batch_size")
"""Training options that a resumed run may change."""

PLACES = ("name", "test", "root", "download", "workers", "condition")
"""Where the data of a resumed run lie and how they are read: what they are has to be the same."""

MARK = "recipe: "
"""What stands before the name in the first comment of a resolved recipe."""
Table = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A published training.

    Attributes:
        name: of the recipe.
        about: what it is, one line.
        data: arguments of :func:`pixelcnn.data.load`; ``name`` is the data set, or a path.
        network: ``name`` and arguments of a network, without those that follow from the data.
        output: ``name`` and arguments of an output, without the levels.
        training: fields of :class:`TrainingOptions`.
        published: what others reported for the same task, if anything.

    Example:
        >>> parse(get("keras-mnist").dumps(), "again").network["width"]
        128
    """

    name: str
    about: str = ""
    data: Table = dataclasses.field(default_factory=dict)
    network: Table = dataclasses.field(default_factory=dict)
    output: Table = dataclasses.field(default_factory=dict)
    training: Table = dataclasses.field(default_factory=dict)
    published: Published | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "a recipe")
        object.__setattr__(self, "about", " ".join(str(self.about).split()))  # for a comment
        for table in TABLES:
            if not isinstance(getattr(self, table), dict):
                raise ConfigError(
                    f"recipe {self.name}: {table} must be a table", hint=f"write [{table}]"
                )
        _check_table("data", self.data, data.load, ("data",))
        for table, registry in (("network", NETWORKS), ("output", OUTPUTS)):
            values = getattr(self, table)
            if "name" not in values:
                raise ConfigError(
                    f"recipe {self.name}: [{table}] needs a name", hint=", ".join(registry)
                )
            _check_table(table, values, registry[values["name"]], (*DERIVED, "levels"))
        TrainingOptions.from_table(self.training)

    @property
    def options(self) -> TrainingOptions:
        """The ``[training]`` table with its defaults."""
        return TrainingOptions.from_table(self.training)

    def tables(self) -> dict[str, Table]:
        """The four tables; training with every default spelt out."""
        tables: dict[str, Table] = {name: getattr(self, name) for name in TABLES}
        return tables | {"training": self.options.as_table()}

    def dumps(self) -> str:
        """The resolved recipe as TOML."""
        head = "\n".join(f"# {line}" for line in (MARK + self.name, self.about) if line)
        return f"{head}\n\n{toml.dumps(self.tables())}"

    def with_overrides(self, overrides: Iterable["Setting | str"]) -> "Recipe":
        """The recipe with some values replaced.

        Args:
            overrides: tables, keys and values, where None takes a key out; or texts as
                ``"training.epochs=3"``, whose value is TOML, words without quotes, or ``none``.

        Raises:
            ConfigError: no such table or key, or a value that cannot be used.
        """
        tables: dict[str, Any] = {name: dict(getattr(self, name)) for name in TABLES}
        settings = [parse_setting(each) if isinstance(each, str) else each for each in overrides]
        # Names come first: what is said of a network stays, wherever its name is said.
        for table, key, value in sorted(settings, key=lambda each: each.key != "name"):
            check_keys("table", [table], TABLES)
            named = tables[table].get("name")
            if table in ("network", "output") and key == "name" and value != named:
                tables[table] = {}  # arguments of one network mean nothing to another
            tables[table][key] = value
            if value is None:
                del tables[table][key]
        return dataclasses.replace(self, **tables)

    def load(self) -> Splits:
        """Loads the data."""
        values = dict(self.data)
        name = values.pop("name", None)
        if name is None:
            raise ConfigError(
                f"recipe {self.name} has no data set of its own", hint="give one with --data"
            )
        return data.load(name, **values)

    def build(self, train: ImageSet | Splits) -> tuple[PixelModel, list[str]]:
        """A new model for some images: channels, levels, size and classes follow the data.

        Returns:
            The model, and what had to differ from the recipe, in words.

        Raises:
            ConfigError: a class-conditional recipe and data without labels, or arguments that do not fit.
        """
        network, output, notes = adapted(self.network, self.output, train)
        name, seed, told = network.pop("name"), self.options.seed, self.options.tags
        model = create_model(name, train, seed=seed, output=output, tags=told, **network)
        return model, notes


def of_model(
    model: PixelModel,
    data: Table,
    options: TrainingOptions,
    name: str = "custom",
    about: str = "",
) -> Recipe:
    """The recipe of a model that exists, every argument of its network and output spelt out.

    Args:
        model: the model.
        data: the ``[data]`` table.
        options: how it is trained.
        name: of the recipe.
        about: what it is.
    """
    config, own = model.config(), {"condition": tags.of(model).kind}
    known = {k: own.get(k, v) for k, v in config["network"].items() if k not in DERIVED}
    network = {k: v for k, v in known.items() if v is not None}
    output = {k: v for k, v in config["output"].items() if k != "levels" and v is not None}
    tables: Table = {"data": data, "network": network, "output": output}
    return Recipe(name=name, about=about, **tables, training=options.as_table())


def goes_on(stored: Recipe, now: Recipe, where: str) -> bool:
    """Whether a run that goes on with another recipe needs its number of steps settled anew.

    Args:
        stored: what the run was started with.
        now: what it shall go on with.
        where: the run folder.

    Raises:
        ConfigError: they contradict each other in more than how long, on which devices, and where the
            data lie.
    """
    if now.name != stored.name:
        raise ConfigError(
            f"{where} holds a run of recipe {stored.name}, not {now.name}",
            hint="choose another folder with --run",
        )
    before, after = stored.tables(), now.tables()
    for table, key in ((t, k) for t in TABLES for k in {**before[t], **after[t]}):
        old, new = before[table].get(key), after[table].get(key)
        if key == "init":
            old, new = (each and str(at_home(each).absolute()) for each in (old, new))
        free = key in FREE if table == "training" else table == "data" and key in PLACES
        if old != new and not free:
            raise ConfigError(
                f"{where} was started with {table}.{key} = {old!r}, not {new!r}",
                hint="leave the setting out, or choose another folder with --run",
            )
    return any(before["training"].get(key) != after["training"].get(key) for key in LENGTH)


def names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(
        Path(item.name).stem for item in folder().iterdir() if item.name.endswith(".toml")
    )


def get(name: str | Path) -> Recipe:
    """A recipe by name, or from a TOML file.

    Raises:
        UnknownName: neither a recipe nor a file.
        ConfigError: a file that is not a recipe.
    """
    name = checked("recipe", name, str | Path, "'pixelcnn info' lists recipes")
    if str(name) in names():
        return parse((folder() / f"{name}.toml").read_text(encoding="utf-8"), str(name))
    path = at_home(name)
    if path.suffix == ".toml" and os.path.isfile(path):
        return parse(toml.read(path), path.stem)
    message, hint = no_recipe(str(name))
    raise UnknownName(message, hint=hint)


def no_recipe(name: str) -> tuple[str, str]:
    """What is wrong with a name that is no recipe, and what was probably meant."""
    if name in data.DATASETS:
        own = [recipe for recipe in names() if get(recipe).data.get("name") == name]
        hint = f"recipes for it: {', '.join(own)}; any other takes it with --data {name}"
        return f"{name} is a data set, not a recipe", hint
    if os.path.exists(name):
        return f"{name} is no recipe", f"if it holds images, train with --data {as_word(name)}"
    hint = f"{known(name, names())}, see 'pixelcnn info'; or give a .toml file"
    return f"no recipe called {shown(name)}.{closest(name, names())}", hint


def parse(text: str, name: str) -> Recipe:
    """A recipe from its text; the first comment line says what it is.

    Args:
        text: TOML; a resolved recipe names itself.
        name: of a recipe that does not.

    Raises:
        ConfigError: not TOML, or tables, keys or values that mean nothing.
    """
    tables = toml.loads(text, f"recipe {name}")
    check_keys("table", tables, (*TABLES, "published"))
    figure = Published.from_table(tables.pop("published")) if "published" in tables else None
    lines = (line for line in text.splitlines() if line.startswith("#"))
    comments = [line.removeprefix("#").strip() for line in lines]
    if comments and comments[0].startswith(MARK):
        name = comments.pop(0).removeprefix(MARK).strip()
    about = comments[0] if comments else ""
    return Recipe(name=name, about=about, **tables, published=figure)


def folder() -> Any:
    """Where the recipes lie."""
    return resources.files("pixelcnn") / "recipes"


class Setting(NamedTuple):
    """One value of a recipe."""

    table: str
    key: str
    value: Any


def parse_setting(setting: str) -> Setting:
    """Table, key and value of ``table.key=VALUE``.

    Raises:
        ConfigError: another form.

    Example:
        >>> parse_setting("training.schedule=cosine")
        Setting(table='training', key='schedule', value='cosine')
    """
    path, equals, value = setting.partition("=")
    table, dot, key = path.strip().partition(".")
    if not (equals and dot and key):
        raise ConfigError(
            f"cannot use the setting {shown(setting)}",
            hint="write table.key=VALUE, as training.epochs=3",
        )
    return Setting(table, key.strip(), toml.parse_value(value.strip()))


def _check_table(table: str, values: Table, of: Callable[..., Any], derived: Iterable[str]) -> None:
    """Refuses keys that mean nothing, and values that ``of`` does not take as arguments.

    Those that are ``derived`` no recipe gives.
    """
    known = ["name", *(key for key in arguments(of) if key not in derived)]
    check_keys(f"key in [{table}]", values, known)
    check_values(of, {key: value for key, value in values.items() if key != "name"}, f"{table}.")
    checked(f"{table}.name", values.get("name", table), str, "a text stands in double quotes")
