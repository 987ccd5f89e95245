"""Recipe settings, recipe files and options of commands, with values that nobody expects."""

import inspect
from pathlib import Path
from typing import Any

import typer

from cli.conftest import make_tiny
from fuzz import mutation, values
from fuzz.campaigns.tables import PLACES
from fuzz.case import Campaign, Case, command_line
from pixelcnn import checkpoint, data
from pixelcnn.config import arguments
from pixelcnn.networks import NETWORKS
from pixelcnn.outputs import OUTPUTS
from pixelcnn.training import recipe
from pixelcnn.training.options import TrainingOptions

LITERALS = (
    "3", "-1", "0", "1", "2.7", "1e400", "inf", "nan", "-nan", "true",
    "9" * 4_300, "9" * 5_000, "0x" + "f" * 5_000,
    "65536", "1000000000",
    "1" + "0" * 22, '""', '" "', '"a\\u0000b"', '"\\u001b[2J"', '"../../x"', '"/dev/zero"',
    '"~nobody/x"', "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "[]", "[1]", "[1, 2]", "[[1], [2]]",
    "[1, 'a', true]",
    "[0.9, 0.999]", "[nan, inf]", "{}", "{a = 1}", "{name = 'bernoulli'}", "[" + "1, " * 100 + "]",
    "[" * 50 + "]" * 50,
    "[" * 3_000 + "]" * 3_000, "[" * 2_000, "{a=" * 500, "none", "", "=", "a = b", "1 # x",
    "1\n[x]\ny = 2", "\x00", "\udcff",
    "\u0663", "\u00b2", "'", '"', "[1, 2", "\\", "0b101", "1_000", "''x''", "1.", ".5", "auto",
)  # fmt: skip
"""As TOML spells values, or does not."""
WORDS = (
    "3x", "x3", "3x3x3", "1/2", "2/1", "0/1", "1/0", "-1/2", "1/" + "9" * 5_000, "65536x65536", "65537",
    "1000000000x1",
    "9" * 5_000 + "x1", "\u0663/\u0664", "cuda:" + "9" * 5_000, "cuda:-1", "cuda:\u0663", "meta", "=",
    "--", "-", "9" * 5_000 + "h",
    "1e9h", "1h1h", "999999999999h", "\u0968s", "32x48", "n h w", "2/3", "10m",
)  # fmt: skip
"""What options of their own form stumble over: sizes, parts, times, devices."""
WRITING = ("--out", "--run")
"""Options whose paths are written to: they get names alone, never what lies elsewhere."""
NAMES = (
    "a b", "-n", "é", "a\nb", "a\x1b[2Jb", "\udcff", "x" * 240, "x" * 260, "'", "*", "%s", "..", ".", "",
    " ", "#", "\u202etxt", "~", "a\\b", "con", "a;b", "$(x)", "sub/x", "sub/../x", "./x", "a\x7fb",
)  # fmt: skip
"""Of what is written, in the folder of the case."""
COMMANDS = ("train", "sample", "complete", "evaluate", "score", "info", "verify", "data check")
LONGEST = 2**17
"""Bytes of one word that Linux hands to a program."""


def keys() -> list[tuple[str, str, str]]:
    """Every table and key of a recipe, with the network or output that has it; and some that nothing has."""
    found = [("data", "", key) for key in ("name", *list(arguments(data.load))[1:])]
    found += [("training", "", key) for key in inspect.signature(TrainingOptions).parameters]
    for table, registry in (("network", NETWORKS), ("output", OUTPUTS)):
        for name in registry:
            found += [(table, name, key) for key in ("name", *arguments(registry[name]))]
    odd = [
        ("data", "x"), ("recipe", "name"), ("", ""), ("network", "a.b"), ("training", ""),
        ("training", "seconds"), ("training", "__init__"), ("data", "'name'"),
    ]  # fmt: skip
    return [*found, *((table, "", key) for table, key in odd)]


def small(network: str) -> dict[str, str]:
    """A recipe's settings that make a network small."""
    known = arguments(NETWORKS[network])
    return {"name": f'"{network}"', "width": "6"} | {
        k: "1" for k in ("depth", "blocks") if k in known
    }


def text_of(tables: dict[str, dict[str, str]]) -> bytes:
    """A recipe file."""
    blocks = [
        f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in t.items()) for name, t in tables.items()
    ]
    return "\n".join(blocks).encode("utf-8", "surrogateescape")


def literal(case: Case) -> str:
    """A value as it may be typed."""
    spelt = "\0"
    while not typable(spelt):
        if case.draw.random() < 0.5:
            spelt = case.draw.choice(LITERALS)
            continue
        value = values.json_value(case.draw, 2)
        try:
            spelt = recipe.toml.literal(value)
        except Exception:  # no TOML has it, but it can be typed
            spelt = values.repr_of(value)
    return spelt


def typable(word: str) -> bool:
    """Whether a word can be handed to a program: no zero byte, no lone surrogate, and not too long."""
    return "\0" not in word and len(word.encode("utf-8", "replace")) < LONGEST and encodes(word)


def encodes(word: str) -> bool:
    """Whether a word has bytes, those of a file name that is no text among them."""
    try:
        word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


class Settings(Campaign):
    """Every key of a recipe and every option of a command, with whatever can be typed."""

    name = "settings"
    about = "recipe settings, recipe files and options with odd values (train --dry-run and others)"
    full = 6_000
    few = 4

    def prepare(self, folder: Path) -> None:
        self.keys = keys()
        self.model, self.labelled = folder / "m.safetensors", folder / "labelled.safetensors"
        checkpoint.save(make_tiny(), self.model)
        checkpoint.save(make_tiny(condition="label", condition_size=10), self.labelled)
        self.options = {name: options_of(name) for name in COMMANDS}
        numbers = map(values.repr_of, values.WHOLE + values.REAL)
        self.words = [w for w in (*values.TEXTS, *LITERALS, *WORDS, *numbers) if typable(w)]

    def run(self, case: Case) -> None:
        kind = case.number % 4
        if kind < 2:
            self.setting(case)
        elif kind == 2:
            self.option(case)
        else:
            self.file(case)

    def setting(self, case: Case) -> None:
        """``train --set table.key=VALUE``, for every network and output that has the key."""
        table, name, key = case.draw.choice(self.keys)
        network = (
            name
            if table == "network" and name
            else case.draw.choice(["pixelcnn", "pixelcnn", *NETWORKS])
        )
        given = {f"network.{k}": v for k, v in small(network).items()}
        if table == "output" and name:
            given |= {"output.name": name} | ({"data.levels": "2"} if name == "bernoulli" else {})
        given[f"{table}.{key}"] = literal(case)
        words = [word for k, v in given.items() for word in ("--set", f"{k}={v}")]
        case.command("train", "digits", "--dry-run", *words)

    def option(self, case: Case) -> None:
        """One option or argument of a command, the rest as it should be."""
        draw = case.draw
        name = draw.choice(COMMANDS)
        model = draw.choice([self.model, self.labelled])
        drawn = ["-n", "1", "--engine", "full", "--out", "s.npy"]
        words = {
            "train": ["train", "digits", "--dry-run"],
            "sample": ["sample", self.model, *drawn],
            "complete": ["complete", self.model, self.picture(case), *drawn],
            "evaluate": ["evaluate", model, "--limit", "2", "--json"],
            "score": ["score", self.model, "digits", "--shard", "1/900"],
            "info": ["info", self.model],
            "verify": ["verify", "nothing"],
            "data check": ["data", "check", "."],
        }[name]
        if "--out" in words and draw.random() < 0.3:
            words[-1] = draw.choice(NAMES) + draw.choice(
                [".png", ".npy", ".npz", ".gif", ".PNG", "", ".csv"]
            )
            case.command(*words)
            return
        option = draw.choice(self.options[name])
        word = draw.choice(self.words)
        at = draw.choice([1, len(words)]) if name != "data check" else len(words)
        if draw.random() < 0.15:  # in place of an argument, but never of what is written to
            end = words.index("--out") if "--out" in words else len(words)
            words[draw.randrange(1, end)] = word
            case.command(*words)
        else:
            case.command(*words[:at], f"{option}={word}", *words[at:])

    def picture(self, case: Case) -> Path:
        """An image to complete."""
        from PIL import Image

        path = case.folder / "given.png"
        Image.new("L", (8, 8), 100).save(path)
        return path

    def file(self, case: Case) -> None:
        """A recipe file: damaged, of another encoding, nested too deep, or with odd values."""
        draw, kind = case.draw, case.draw.randrange(6)
        tables = {
            "data": {"name": '"digits"'},
            "network": small(draw.choice(["pixelcnn", "pixelcnn", *NETWORKS])),
            "output": {"name": '"categorical"'},
            "training": {"epochs": "1", "betas": "[0.9, 0.99]", "max_time": '"10m"'},
        }
        if 0 < kind < 4:
            table, name, key = draw.choice(self.keys)
            if table == "network" and name:
                tables["network"] = small(name)
            tables.setdefault(table, {})[key] = literal(case)
        content = text_of(tables)
        if kind == 0:
            content = draw.choice(odd_files(content))
        elif kind > 3:
            for _ in range(draw.choice([1, 2])):
                content = mutation.mutated_text(draw, content)
        path = case.write("r.toml", content) if draw.random() < 0.97 else case.folder / "r.toml"
        if not path.exists():
            draw.choice(PLACES)(path)
        case.command("train", path, "--dry-run", *self.more(case))

    def more(self, case: Case) -> list[str]:
        """What may stand beside a recipe file."""
        return case.draw.choice([[], [], ["--json"], ["--set", "network.depth=1"]])


def odd_files(good: bytes) -> list[bytes]:
    """Recipe files of another encoding, too deep, too long, or with a name that leads elsewhere."""
    names = (
        b"../../x", b"", b"..", b"/etc/x", b"a/b", b"x" * 5_000, b"a\x1b[2J", b"-n", b"~",
        "\u00fc".encode(),
    )  # fmt: skip
    return [
        good.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + good, b"# Gr\xfc\xdfe\n" + good, b"\xff" + good, good + b"\0",
        b"# \xed\xb0\x80\n" + good, b"",
        good + b"x = " + b"[" * 100_000, good + b"x = " + b"[" * 5_000 + b"]" * 5_000,
        good + b"x" + b".x" * 20_000 + b" = 1", good + b"x = " + b"{a=" * 5_000, good + b"epochs = 3\n",
        good + b"[data]\n",
        good.replace(b"[data]", b"[[data]]"),
        good + b"#" + b"x" * 2**21, good + b"x" * 500_000 + b" = 1", b"data = 3\n",
        good.replace(b"\n", b"\r\n"), good.replace(b"\n", b"\r"), b"[network.name]\nx = 1\n",
        good + b"".join(b"x%d = 1\n" % i for i in range(20_000)),
        *(b"# recipe: " + name + b"\n" + good for name in names),
    ]  # fmt: skip


def options_of(name: str) -> list[Any]:
    """The options of a command that take a value."""
    found = command_line()
    for word in name.split():
        found = found.commands[word]
    options = (p for p in found.params if isinstance(p, typer.core.TyperOption) and not p.is_flag)
    return [p.opts[-1] for p in options if p.opts[-1] not in WRITING]
