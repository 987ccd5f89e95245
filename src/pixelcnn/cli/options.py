"""The arguments and options that several commands share, each described once."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from pixelcnn.cli.words import sides

DATA_HELP = (
    "digits, mnist, binarized-mnist, fashion-mnist, cifar-10, a folder of images, "
    "an .npy, .npz, .h5, .zarr, .fits, IDX or .csv file, or hf:NAME."
)
FIT_HELP = (
    "Images, how they get the size. The shorter side scaled and the centre kept: resize averages all pixels, "
    "nearest mixes none (masks, label maps). As they are: crop cuts the centre out, pad puts black around"
)


def said(*names: str, help: str, default: str, **more: Any) -> Any:  # noqa: A002
    """An option whose default is no value but a rule, said in words.

    Args:
        names: as for ``typer.Option``.
        help: what the option does.
        default: what happens without it.
        more: as for ``typer.Option``.
    """
    return typer.Option(*names, help=f"{help}  [default: {default}]", show_default=False, **more)


switch = functools.partial(said, default="off")
"""An option without a value."""

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A model file, a run folder, or the name of a shipped model.",
        show_default=False,
    ),
]
Data = Annotated[
    str | None, said(metavar="DATA", help=DATA_HELP, default="what the model was trained on")
]
Size = Annotated[
    str | None,
    said(
        metavar="HEIGHTxWIDTH",
        help="Images: the size to bring them to, see --fit; one number means a square.",
        default="as they are",
    ),
]
Fit = Annotated[
    str | None,
    said(
        metavar="resize|nearest|crop|pad|patches",
        help=f"{FIT_HELP} smaller ones, patches cuts a photograph into a grid, in training anywhere.",
        default="what a recipe or a model says, else resize for image files and crop for arrays",
    ),
]
as_trained = functools.partial(said, default="what a recipe or a model says, else off")
Grey = Annotated[
    bool, as_trained("--grey", help="Images in colour: make them grey, by their brightness.")
]
Rgb = Annotated[bool, as_trained("--rgb", help="Grey images: give them three equal channels.")]
Layout = Annotated[
    str | None,
    said(
        metavar="AXES",
        help="Own arrays: the order of their axes, 'n h w', 'n h w c' or 'n c h w'; MATLAB's are 'h w c n'.",
        default="from their shape",
    ),
]
Key = Annotated[
    str | None,
    said(
        metavar="NAME",
        help="Own files of several arrays (.npz, .h5, .zarr, .fits): the one with the images.",
        default="images, x_train, x, data, codes, or the only one",
    ),
]
LabelColumn = Annotated[
    str | None,
    said(
        "--label-column",
        metavar="NAME",
        help="Own tables: the column of the class, by its name, or first, last or none.",
        default="the one called label, class, target or y",
    ),
]
SourceLevels = Annotated[
    int | None,
    said(
        "--source-levels",
        metavar="N",
        min=2,
        max=65_536,
        help="Own data: how many levels the stored values have; of image files 256 is their whole range.",
        default="what the file says, else what a model says, else by its type of number",
    ),
]
As = Annotated[
    str | None,
    said(
        "--as",
        metavar="values|levels",
        help="Models of measured values: what an .npy or .npz file holds.",
        default="values, the centres of their bins",
    ),
]
SkipBad = Annotated[
    bool,
    switch(
        "--skip-bad", help="Own images: leave out files that cannot be read, instead of stopping."
    ),
]
Force = Annotated[bool, switch("-f", "--force", help="Replace files that are there.")]
Stdout = Annotated[bool, switch("-c", "--stdout", help="Write to standard output.")]
Test = Annotated[
    bool, switch("-t", "--test", help="Decode .pxc files and check them; write nothing.")
]
Listed = Annotated[
    bool, switch("-l", "--list", help="List what is in .pxc files; nothing is decoded.")
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Same seed, same images.")]
TrainingSeed = Annotated[
    int | None,
    said(
        "--seed",
        metavar="N",
        help="Of weights, batches and noise.",
        default="the recipe's, mostly 0",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        metavar="auto|full|cached|cuda|native|native-bf16",
        help="How probabilities are computed; all but native-bf16 draw the same images.",
    ),
]
Temperature = Annotated[
    float,
    typer.Option(
        metavar="T",
        min=0.0,
        help="Below 1 safer, above 1 wilder images; 0 takes the most likely level.",
    ),
]
Label = Annotated[
    str | None,
    said(
        metavar="CLASS",
        help="Class-conditional models: the class to draw, by number or name.",
        default="every class in turn",
    ),
]
TakenAs = Annotated[
    str | None,
    said(
        metavar="CLASS",
        help="Class-conditional models: the class to take all images for, by number or name.",
        default="each image's own, from its folder or label column",
    ),
]
Condition = Annotated[
    str | None,
    said(
        metavar="NAME=VALUE,...|FILE",
        help="Vector- and map-conditional models: what to draw; 1:5 walks a range. Or a .csv or .npy file, "
        "a picture, or a folder of them.",
        default="none; classes have --label",
    ),
]
GivenAs = Annotated[
    str | None,
    said(
        "--condition",
        metavar="NAME=VALUE,...|FILE",
        help="Vector- and map-conditional models: what to take all images for, or a file with one for each.",
        default="each image's own",
    ),
]
BatchSize = Annotated[
    int, typer.Option(metavar="N", min=1, help="Images at a time; only speed and memory change.")
]
Settings = Annotated[
    list[str] | None,
    said(
        "--set",
        metavar="TABLE.KEY=VALUE",
        help="Change a value of the recipe, as in training.learning_rate=1e-4; repeatable.",
        default="nothing",
    ),
]
MaxTime = Annotated[
    str | None, said(metavar="TIME", help="Longest training, as 45s or 10m.", default="none")
]
Device = Annotated[
    str | None,
    said(
        metavar="auto|cpu|cuda|cuda:1|mps",
        help="Where to compute.",
        default="auto: a GPU where CUDA finds one, else the processor",
    ),
]
Limit = Annotated[
    int | None,
    said(metavar="N", min=1, help="Only N images, evenly spread.", default="all"),
]
Json = Annotated[bool, switch("--json", help="Print one JSON object on stdout.")]


@dataclasses.dataclass(frozen=True)
class Reading:
    """How own data are to be read: a group of options, see :func:`unfolded`."""

    size: Size = None
    fit: Fit = None
    layout: Layout = None
    key: Key = None
    label_column: LabelColumn = None
    skip_bad: SkipBad = False
    grey: Grey = False
    rgb: Rgb = False

    def asked(self) -> dict[str, Any]:
        """The same as :class:`pixelcnn.data.Options`; what nobody asked for is None.

        Raises:
            typer.BadParameter: no size.

        Example:
            >>> {name: value for name, value in Reading("8", fit="pad").asked().items() if value}
            {'size': [8, 8], 'fit': 'pad'}
        """
        pair = sides(self.size)
        found = {name: None if value is False else value for name, value in vars(self).items()}
        return found | {"size": None if pair is None else list(pair)}


@dataclasses.dataclass(frozen=True)
class Given(Reading):
    """How images for a model are to be read, and what it is given with all of them."""

    source_levels: SourceLevels = None
    label: TakenAs = None
    condition: GivenAs = None

    def asked(self) -> dict[str, Any]:
        found = super().asked()
        del found["label"], found["condition"]  # no matter of reading
        return found


def unfolded(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options of its groups in place of them, as the command line takes them.

    Args:
        command: a parameter whose type is a dataclass stands for the options that are its fields.

    Example:
        >>> def train(recipe: str, own: Reading) -> None:
        ...     print(recipe, own.grey)
        >>> unfolded(train)(recipe="digits", grey=True)
        digits True
        >>> list(inspect.signature(unfolded(train)).parameters)[:3]
        ['recipe', 'size', 'fit']
    """
    parameters, groups = list[inspect.Parameter](), dict[str, Any]()
    for parameter in inspect.signature(command).parameters.values():
        group = parameter.annotation
        if isinstance(group, type) and dataclasses.is_dataclass(group):
            groups[parameter.name] = group
            parameters += inspect.signature(group).parameters.values()
        else:
            parameters.append(parameter)

    @functools.wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            fields = {each.name for each in dataclasses.fields(group)} & values.keys()
            values[name] = group(**{field: values.pop(field) for field in fields})
        command(**values)

    named = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    run.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    return run
