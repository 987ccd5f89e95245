"""Draws what a training shows in a terminal, and its curves as a notebook shows them.

PYTHONPATH=tests python docs/pictures/training.py
"""

import io
import re
import sys
import tempfile
from pathlib import Path

from rich import _export_format
from rich.console import Console

from pixelcnn.charts import learning_curve
from pixelcnn.training.history import bits_per_dim_curves, read_rows
from terminal import Screen, Terminal

COMMAND = "pixelcnn train digits --set network.width=16 --set training.validate_every=1 --epochs 6"
COLUMNS = 92


def in_the_middle(folder: Path) -> list[str]:
    """The lines on the screen in the fourth epoch, once the training has ended well."""
    words = [sys.executable, "-m", *COMMAND.split(), "--run", "run"]
    with Terminal(words, columns=COLUMNS, folder=folder, deadline=600) as terminal:
        terminal.wait_for("epoch 3/")
        length = len(terminal.text)
        while len(terminal.text) < length + 5 * COLUMNS:
            terminal._read()
        lines = Screen(COLUMNS, 24).draw(terminal.text).lines
        assert terminal.finish().code == 0
    return [f"$ {COMMAND}", *lines]


def as_svg(lines: list[str]) -> str:
    """Lines of a terminal as a picture that asks no other host for a font."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print("\n".join(lines), markup=False, highlight=False)
    plain = re.sub(
        r"@font-face \{\{.*?\}\}", "", _export_format.CONSOLE_SVG_FORMAT, flags=re.DOTALL
    )
    return console.export_svg(title="pixelcnn train", code_format=plain, unique_id="terminal")


def main() -> None:
    """Writes both pictures beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        terminal = as_svg(in_the_middle(Path(folder)))
        curves = bits_per_dim_curves(read_rows(Path(folder) / "run" / "metrics.csv"))
    here = Path(__file__).parent
    (here / "terminal.svg").write_text(terminal, encoding="utf-8")
    chart = learning_curve(curves, "epoch", "bits/dim")
    for variable in re.findall(r"var\((--\w+), (#\w+)\)", chart):  # a picture has no page around it
        chart = chart.replace(f"var({variable[0]}, {variable[1]})", variable[1])
    (here / "history.svg").write_text(chart, encoding="utf-8")


if __name__ == "__main__":
    main()
