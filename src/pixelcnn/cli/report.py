"""One self-contained HTML page: style and pictures lie in it, so it can be mailed or archived.

It requests nothing, runs no script, follows the reader's light or dark setting and fits a telephone.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pixelcnn.text import escaped as escape

TYPES = {".png": "image/png", ".gif": "image/gif"}
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Figure:
    """A picture with words.

    Attributes:
        picture: a PNG or GIF file, or the text of an SVG.
        alt: what the picture shows, for readers who do not see it.
        caption: what to look at.
        wide: takes a line of its own among several.
    """

    picture: Path | str
    alt: str
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Bar:
    """A row of a comparison: a name, a number, and whether it is the one that matters."""

    name: str
    value: float
    ours: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: its heading.
        text: paragraphs, as plain text.
        figures: shown side by side where there is room.
        bars: a comparison of numbers, lower being better.
        unit: of the bars.
        rows: a table without numbers; its first row is the heading.
        command: lines that do the same from a terminal.
    """

    title: str
    text: Sequence[str]
    figures: Sequence[Figure] = ()
    bars: Sequence[Bar] = ()
    unit: str = ""
    rows: Sequence[Sequence[str]] = ()
    command: str = ""


def page(
    title: str,
    lead: str,
    facts: Sequence[tuple[str, str, str]],
    sections: Sequence[Section],
    footer: str,
) -> str:
    """The page as HTML text.

    Args:
        title: heading and window title.
        lead: the paragraph below it.
        facts: (name, number, remark) of the cards on top.
        sections: the parts, numbered in order.
        footer: the last line.
    """
    style = (resources.files("pixelcnn.cli") / "report.css").read_text(encoding="utf-8")
    parts = [section_html(number, section) for number, section in enumerate(sections, start=1)]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="lead">{escape(lead)}</p>
{facts_html(facts)}
</header>
<main>
{"".join(parts)}</main>
<footer>{escape(footer)}</footer>
</body>
</html>
"""


def facts_html(facts: Sequence[tuple[str, str, str]]) -> str:
    """The cards with the most important numbers."""
    cards = "\n".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(remark)}</small></dd></div>"
        for name, value, remark in facts
    )
    return f'<dl class="facts">\n{cards}\n</dl>'


def section_html(number: int, section: Section) -> str:
    """One part: heading, text, pictures, numbers, command."""
    lines = [f'<section>\n<h2><span class="number">{number}</span>{escape(section.title)}</h2>']
    lines += [f"<p>{escape(paragraph)}</p>" for paragraph in section.text]
    figures = [figure_html(figure) for figure in section.figures]
    if len(figures) > 1:
        lines += ['<div class="pair">', *figures, "</div>"]
    else:
        lines += figures
    if section.bars:
        lines.append(bars_html(section.bars, section.unit))
    if section.rows:
        lines.append(table_html(section.rows))
    if section.command:
        lines.append(f"<pre><code>{escape(section.command)}</code></pre>")
    return "\n".join([*lines, "</section>\n"])


def figure_html(figure: Figure) -> str:
    """A picture, embedded, with its caption.

    Example:
        >>> figure_html(Figure("<svg></svg>", alt="a line"))
        '<figure role="img" aria-label="a line"><svg></svg></figure>'
    """
    caption = f"<figcaption>{escape(figure.caption)}</figcaption>" if figure.caption else ""
    alt, wide = escape(figure.alt), ' class="wide"' if figure.wide else ""
    if isinstance(figure.picture, str):
        return f'<figure{wide} role="img" aria-label="{alt}">{figure.picture}{caption}</figure>'
    return f'<figure{wide}><img src="{data_uri(figure.picture)}" alt="{alt}">{caption}</figure>'


def data_uri(path: Path) -> str:
    """A picture file as text that a page can hold."""
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return f"data:{TYPES[path.suffix]};base64,{content}"


def bars_html(bars: Sequence[Bar], unit: str) -> str:
    """Numbers beside bars of their length."""
    longest = max(bar.value for bar in bars)
    rows = "\n".join(
        f"<tr{' class=ours' if bar.ours else ''}><td>{escape(bar.name)}</td>"
        f'<td class="bar"><span style="width:{100 * bar.value / longest:.1f}%"></span></td>'
        f'<td class="value">{bar.value:.2f}</td></tr>'
        for bar in bars
    )
    heading = f'<tr><th></th><th></th><th class="value">{escape(unit)}</th></tr>'
    return f'<div class="scroll"><table>\n{heading}\n{rows}\n</table></div>'


def table_html(rows: Sequence[Sequence[str]]) -> str:
    """A plain table whose first row is its heading."""
    heading, *body = rows
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in heading)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in body]
    text = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table>\n{text}\n</table></div>'
