"""The command ``pixelcnn``: which commands there are, and what all of them share."""

import io
import os
import sys
import warnings
from collections.abc import MutableMapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pixelcnn import __version__, memory
from pixelcnn.cli import failures, options
from pixelcnn.cli.complete import complete
from pixelcnn.cli.compress import compress
from pixelcnn.cli.console import listen, result, results, slowness_said
from pixelcnn.cli.data import app as data_app
from pixelcnn.cli.decompress import decompress
from pixelcnn.cli.demo import demo
from pixelcnn.cli.evaluate import evaluate
from pixelcnn.cli.info import info
from pixelcnn.cli.reproduce import reproduce
from pixelcnn.cli.sample import sample
from pixelcnn.cli.score import score
from pixelcnn.cli.train import train
from pixelcnn.cli.verify import verify
from pixelcnn.cores import cores

SYNONYMS = {
    "fit": "train",
    "eval": "evaluate",
    "test": "evaluate",
    "generate": "sample",
    "draw": "sample",
    "inpaint": "complete",
    "check": "verify",
    "summary": "info",
    "list": "info",
    "pack": "compress",
    "encode": "compress",
    "unpack": "decompress",
    "decode": "decompress",
}
"""What the same thing is called elsewhere: suggested, not accepted."""


class Root(TyperGroup):
    """The top command: it turns every ending into our messages and exit codes."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs a command line and exits, or returns the exit code without ``standalone_mode``."""
        words, debug = without_debug(sys.argv[1:] if args is None else list(args))
        run = super().main

        def action() -> Any:
            try:
                refuse_empty(words)
                return run(words, "pixelcnn", complete_var, False, windows_expand_args, **extra)
            except typer.TyperException as error:
                if getattr(error, "ctx", None) is None:  # as of an option without its value
                    error.ctx = self.context_of(words)  # type: ignore[attr-defined]
                raise
            except failures.Carried as carried:
                raise carried.error from None

        with slowness_said():
            code = failures.guarded(action, debug)
        if standalone_mode:
            sys.exit(code)
        return code

    def context_of(self, words: Sequence[str]) -> typer.Context:
        """The command that a command line names, for its help; this one if it names none."""
        context = typer.Context(self, info_name="pixelcnn")
        for word in words:
            command = getattr(context.command, "commands", {}).get(word)
            if command is None:
                break
            context = typer.Context(command, parent=context, info_name=word)
        return context

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; what typer makes an exit code of is carried through it."""
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, KeyboardInterrupt) as error:
            raise failures.Carried(error) from error

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Finds the command, or suggests the one that was meant."""
        if args and args[0] in SYNONYMS:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {SYNONYMS[args[0]]!r}?")
        return super().resolve_command(ctx, args)


def without_debug(words: list[str]) -> tuple[list[str], bool]:
    """Takes ``--debug`` out, wherever it stands, and says whether it was there.

    Example:
        >>> without_debug(["sample", "--debug", "m", "--", "--debug"])
        (['sample', 'm', '--', '--debug'], True)
    """
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    return kept + words[end:], len(kept) < end


def refuse_empty(words: Sequence[str]) -> None:
    """Refuses arguments without a character, which as a path would mean the working folder.

    Raises:
        typer.BadParameter: one of them is empty.

    Example:
        >>> refuse_empty(["sample", "m", "--out", "x.png", "--set", "data.name="])
    """
    for before, word in zip(("", *words), words, strict=False):
        option, equals, value = word.partition("=")
        if not word or (equals and not value and option.startswith("--")):
            name = option or (before if before.startswith("-") else "an argument")
            raise typer.BadParameter(f"{name} is empty: a variable of the shell that is not set?")


app = typer.Typer(
    name="pixelcnn",
    cls=Root,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 100},
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, options.switch("--version", help="Print the version.")] = False,
    debug: Annotated[
        bool, options.switch("--debug", help="Show the traceback of an error; any position.")
    ] = False,
) -> None:
    """Exact-likelihood image models: train, evaluate, sample, complete, score, compress.

    \b
    Examples:
      pixelcnn demo
      pixelcnn train digits --max-time 2m && pixelcnn sample runs/digits-digits
    """
    if version:
        result(f"pixelcnn {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        results(context.get_help())
    listen(detailed=context.invoked_subcommand in TELL_ALL)


TELL_ALL = ("train", "reproduce", "data")
"""Commands that tell of everything that is done to files, where others say where to look."""

USES = (
    demo,
    train,
    evaluate,
    sample,
    complete,
    score,
    compress,
    decompress,
    verify,
    info,
    reproduce,
)
for command in USES:
    app.command()(options.unfolded(command))
app.add_typer(data_app, name="data")


def set_threads(environment: MutableMapping[str, str], count: int, seen: int) -> None:
    """Bounds PyTorch's threads, and lets them sleep soon where they wait, unless the user has decided.

    They spin for milliseconds otherwise, on cores that other programs need to let them go on: beside one such
    program two threads took 34 times as long for a step as one. So soon they sleep by libgomp's own choice
    where it has more threads than cores. And they are as many as the machine has cores, although a container
    may be given the time of fewer.

    Args:
        environment: of this process, before PyTorch is imported.
        count: cores that this process may use.
        seen: cores that there are.

    Example:
        >>> decided, free = {"OMP_WAIT_POLICY": "active"}, dict[str, str]()
        >>> set_threads(decided, 8, 8), set_threads(free, 2, 8), decided, free
        (None, None, {'OMP_WAIT_POLICY': 'active'}, {'GOMP_SPINCOUNT': '1000', 'OMP_NUM_THREADS': '2'})
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", "1000")
    if count < seen:
        environment.setdefault("OMP_NUM_THREADS", str(count))


def main() -> None:
    """Entry point of the ``pixelcnn`` script."""
    set_threads(os.environ, cores(), os.cpu_count() or 1)
    failures.open_streams()
    failures.catch_signals()
    memory.keep_memory()
    memory.bound()
    # Pillow warns of large pictures and odd metadata; our limits decide.
    warnings.filterwarnings("ignore", module=r"PIL\b")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name may be no text at all
    app()
