"""The documentation names what exists, and nothing else. What it shows in Python runs as doctests."""

import pkgutil
import re
import shlex
from pathlib import Path

import pytest
import torch
import typer

from pixelcnn import networks, outputs
from pixelcnn.cli.app import app
from pixelcnn.model import PixelModel
from pixelcnn.training import checkpoints, recipe
from pixelcnn.verify.models import ModelChecks
from training.trainings import train

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = sorted([README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
MAP = re.search(r"## The files\n+```text\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def label(path: Path) -> str:
    return path.name


def prose(page: Path) -> str:
    """A page without its code."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What links to a page may name: its headings as GitHub and MkDocs spell them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    words = (re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings)
    return {re.sub(r"[\s]+", "-", heading) for heading in words}


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_links_lead_somewhere(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=label)
def test_every_page_is_linked_from_the_first_one(page):
    first = ROOT / "docs" / "index.md"
    assert page == first or f"({page.name})" in first.read_text(encoding="utf-8")


def mapped() -> dict[str, set[str]]:
    """Names in the README's map of the files: at the root, and in the package."""
    assert MAP is not None
    found: dict[str, set[str]] = {"": set(), "src/pixelcnn/": set()}
    for line in MAP.group(1).splitlines():
        folder = "src/pixelcnn/" if line.startswith(" ") else ""
        found[folder].add(line.split()[0])
    found[""].discard("src/pixelcnn/")
    return found


def test_the_map_of_the_files_names_what_exists():
    for folder, names in mapped().items():
        missing = [n for n in names if not (ROOT / folder / n).exists()]
        wrong = [n for n in names if (ROOT / folder / n).is_dir() != n.endswith("/")]
        assert (missing, wrong) == ([], [])


def test_the_map_of_the_files_names_every_module():
    package = ROOT / "src" / "pixelcnn"
    modules = {p.name for p in package.iterdir() if p.is_file()}
    folders = {f"{p.name}/" for p in package.iterdir() if p.is_dir() and any(p.rglob("*.*"))}
    assert mapped()["src/pixelcnn/"] == modules | (folders - {"__pycache__/"})


def test_every_recipe_of_a_tutorial_is_mapped_to_it():
    tutorials = (ROOT / "docs" / "from-the-tutorials.md").read_text(encoding="utf-8")
    folder = recipe.folder()
    theirs = [n for n in recipe.names() if "Seed:" in (folder / f"{n}.toml").read_text("utf-8")]
    assert len(theirs) == 8
    assert [name for name in theirs if f"`{name}`" not in tutorials] == []


def test_the_table_of_promises_names_every_check():
    verify = (ROOT / "docs" / "verify.md").read_text(encoding="utf-8")
    rows = verify.split("## What is checked\n")[1].split("\n#")[0]
    named = set(re.findall(r"^\| ([^|]+) \| ", rows, re.MULTILINE)) - {"promise"}
    network = networks.PixelCNN(1, 1, width=4, depth=1, condition="label", condition_size=2)
    model = PixelModel(network, outputs.Bernoulli(), (1, 5, 7))
    checks = ModelChecks(model, thorough=False, device=torch.device("cpu")).all()
    names = {re.sub(" at 1x5x7|, in training mode", "", check.name) for check in checks}
    assert named == names


def test_the_way_of_a_batch_names_functions_that_exist():
    extending = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    rows = extending.split("### The way of a batch\n")[1].split("\n#")[0]
    names = re.findall(r"^\| `([\w.]+)`", rows, re.MULTILINE)
    assert len(names) > 10
    assert all(callable(pkgutil.resolve_name(f"pixelcnn.{name}")) for name in names)


def test_the_table_of_a_checkpoint_names_what_is_in_it(tmp_path):
    train(tmp_path / "run", epochs=1)
    (path,) = checkpoints.existing(tmp_path / "run" / "checkpoints")
    table = (ROOT / "docs" / "files.md").read_text(encoding="utf-8").split("(`pxcktp02`)")[1]
    cells = re.findall(r"^\| (`.*?) \|", table.split("\n\n")[1], re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert named == set(checkpoints.read(path))


def command_lines() -> list:
    """Every call of ``pixelcnn`` in the shell examples, as words."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.splitlines():
                words = shlex.split(line.split("|")[0], comments=True)
                while words and "=" in words[0]:  # variables of the environment
                    words = words[1:]
                if words and words[0] == "pixelcnn":
                    found.append(pytest.param(words[1:], id=f"{page.name}: {' '.join(words)}"))
    return found


@pytest.mark.parametrize("words", command_lines())
def test_command_lines_are_valid(words):
    """Commands, options, values and settings mean something; nothing is run."""
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    values = command.make_context(name, words).params
    if values.get("recipe") and not str(values["recipe"]).endswith(".toml"):
        recipe.get(values["recipe"]).with_overrides(values.get("settings") or [])
