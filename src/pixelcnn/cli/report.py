"""The page of the demo, one HTML file: its pictures lie in it, so it can be mailed or archived.

It requests nothing, runs no script, follows the reader's light or dark setting and fits a telephone. What it
says stands in ``demo.html``; what the numbers and pictures are comes from here.
"""

import base64
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template

from pixelcnn.text import escaped

TYPES = {".png": "image/png", ".gif": "image/gif"}

Bar = tuple[str, float, bool]
"""A row of a comparison: a name, a number (lower being better), and whether it is the one that matters."""


def page(folder: Path, words: Mapping[str, str], parts: Mapping[str, str]) -> str:
    """The page as HTML text.

    Args:
        folder: whose pictures are shown: ``mean-bits.png`` as ``mean_bits_png``.
        words: texts by name.
        parts: HTML by name.
    """
    text = (resources.files("pixelcnn.cli") / "demo.html").read_text(encoding="utf-8")
    pictures = {
        path.name.replace("-", "_").replace(".", "_"): data_uri(path)
        for path in folder.iterdir()
        if path.suffix in TYPES
    }
    said = {name: escaped(word) for name, word in words.items()}
    return Template(text).substitute(pictures | said | dict(parts))


def data_uri(path: Path) -> str:
    """A picture file as text that a page can hold."""
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return f"data:{TYPES[path.suffix]};base64,{content}"


def figure(path: Path, alt: str, caption: str) -> str:
    """A picture that takes a line of its own, with its caption."""
    return (
        f'<figure class="wide"><img src="{data_uri(path)}" alt="{escaped(alt)}">'
        f"<figcaption>{escaped(caption)}</figcaption></figure>"
    )


def bars(rows: Sequence[Bar], unit: str) -> str:
    """Numbers beside bars of their length."""
    longest = max(value for _, value, _ in rows)
    lines = "\n".join(
        f"<tr{' class=ours' if ours else ''}><td>{escaped(name)}</td>"
        f'<td class="bar"><span style="width:{100 * value / longest:.1f}%"></span></td>'
        f'<td class="value">{value:.2f}</td></tr>'
        for name, value, ours in rows
    )
    heading = f'<tr><th></th><th></th><th class="value">{escaped(unit)}</th></tr>'
    return f'<div class="scroll"><table>\n{heading}\n{lines}\n</table></div>'


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table."""
    lines = ["".join(f"<th>{escaped(cell)}</th>" for cell in heading)]
    lines += ["".join(f"<td>{escaped(cell)}</td>" for cell in row) for row in rows]
    text = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table>\n{text}\n</table></div>'
