"""Draw the pictures that README and pages show; `python docs/pictures.py` writes them into docs/_static again."""

from __future__ import annotations

import itertools
from pathlib import Path

import edcore
from edcore import plots

FOLDER = Path(__file__).parent / "_static"

FONT = "system-ui, -apple-system, 'Segoe UI', 'Hiragino Sans', 'Noto Sans CJK JP', 'Noto Sans JP', sans-serif"

THEMES = {
    "light": {
        "page": "#fafaf8", "edge": "#d0d7de", "text": "#1c2733", "line": "#5a6b7b", "layer": "#ffffff",
        "error": "#7b2d8e", "on_error": "#ffffff",
        "plus": "#b2182b", "plus_fill": "#fbe3e4", "minus": "#2166ac", "minus_fill": "#deebf7",
    },
    "dark": {
        "page": "#161b22", "edge": "#3d444d", "text": "#e6edf3", "line": "#9aa7b4", "layer": "#0d1117",
        "error": "#d2a8ff", "on_error": "#161b22",
        "plus": "#ff9a9a", "plus_fill": "#4d1f24", "minus": "#8cc2ff", "minus_fill": "#16324f",
    },
}  # fmt: skip

WORDS = {
    "en": {
        "title": "In ED one error goes to all layers at once; in back-propagation it goes back layer by layer",
        "description": "Above, ED: four layers, each with + and − cells. Arrows lead from x through the layers to the "
        "output. The error, target minus output, reaches all four layers in step 1. Below, back-propagation: the error "
        "reaches the last layer in step 1, the one before it in step 2, and the first in step 4.",
        "ED": "ED: one step, all layers at once",
        "back-propagation": "Back-propagation: one layer after another",
        "output": "output",
        "error": "error = target − output",
        "same": "the same number for every layer",
    },
    "ja": {
        "title": "ED法では1つの誤差が全層に同時に届く。バックプロパゲーションでは誤差が1層ずつ逆向きに伝わる",
        "description": "上はED法。4つの層に+の細胞と−の細胞がある。矢印はxから各層を通って出力へ進む。"
        "誤差（教師信号 − 出力）は、ステップ1で4つの層すべてに届く。下はバックプロパゲーション。"
        "誤差はステップ1で最後の層に、ステップ2でその前の層に届き、最初の層に届くのはステップ4である。",
        "ED": "ED法：1ステップで、全層に同時に",
        "back-propagation": "バックプロパゲーション：1層ずつ順番に",
        "output": "出力",
        "error": "誤差 = 教師信号 − 出力",
        "same": "どの層にも同じ値",
    },
}

CENTRES = (112, 236, 360, 484)
"""Where the layers stand, from left to right."""

END = 588
"""Where the output stands."""


def broadcast(language: str, theme: str) -> str:
    """Return the picture of the broadcast as an SVG: the error of ED above, that of back-propagation below."""
    words, colours = WORDS[language], THEMES[theme]
    parts = [*error_of_ed(words, colours), *error_of_back_propagation(words, colours)]
    return page((640, 424), 22, words["title"], words["description"], parts, language, theme)


def page(
    size: tuple[int, int], font: int, title: str, description: str, parts: list[str], language: str, theme: str
) -> str:
    """Return an SVG of a size, with its title, its description and a frame."""
    (width, height), colours = size, THEMES[theme]
    frame = f'x="1" y="1" width="{width - 2}" height="{height - 2}" rx="12"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"',
            '  role="img" aria-labelledby="t d"',
            f'  xml:lang="{language}" font-family="{FONT}" font-size="{font}" text-anchor="middle">',
            f'<title id="t">{title}</title>',
            f'<desc id="d">{description}</desc>',
            f'<rect {frame} fill="{colours["page"]}" stroke="{colours["edge"]}"/>',
            *parts,
            "</svg>\n",
        ]
    )


def error_of_ed(words: dict[str, str], colours: dict[str, str]) -> list[str]:
    """Return the layers of ED, and one error that leads to each of them."""
    error = colours["error"]
    parts = [text(320, 40, words["ED"], colours["text"], 'font-size="25" font-weight="bold"')]
    for centre in CENTRES:
        parts.append(box(centre - 40, 62, 80, 84, colours))
        for sign, y in (("+", 84), ("−", 124)):
            parts += [cell(centre + side, y, 15, sign, colours) for side in (-19, 19)]
    parts += forward(104, 40, 3, words, colours)
    parts.append(stroke(f"M{END} 120V206H{CENTRES[0]}", error, 3.5))
    for centre in CENTRES:
        parts += [*arrow((centre, 206), (centre, 150), error, 3.5), badge(centre + 21, 177, 1, colours)]
    parts.append(text(298, 236, f"{words['error']}:" if words is WORDS["en"] else f"{words['error']}：", error))
    parts.append(text(298, 263, words["same"], error))
    return parts


def error_of_back_propagation(words: dict[str, str], colours: dict[str, str]) -> list[str]:
    """Return the layers of back-propagation, and an error that goes from each to the one before it."""
    parts = [stroke("M24 284H616", colours["edge"], 1.5)]
    parts.append(text(320, 318, words["back-propagation"], colours["text"], 'font-weight="bold"'))
    for centre in CENTRES:
        parts.append(box(centre - 26, 336, 52, 54, colours))
        circles = [(centre + side, y) for side in (-12, 12) for y in (350, 376)]
        parts += [f'<circle cx="{x}" cy="{y}" r="8" fill="none" stroke="{colours["line"]}"/>' for x, y in circles]
    parts += forward(350, 26, 2, words, colours)
    for number, (start, centre) in enumerate(zip((END, *CENTRES[:0:-1]), CENTRES[::-1], strict=True), 1):
        begin = END if start == END else start - 28
        parts += arrow((begin, 378), (centre + 30, 378), colours["error"], 3)
        parts.append(badge((centre + 26 + start - 26) / 2 + 3, 398, number, colours))
    parts.append(stroke(f"M{END} 364V379.5", colours["error"], 3))
    return parts


def forward(y: int, half: int, width: float, words: dict[str, str], colours: dict[str, str]) -> list[str]:
    """Return x, the arrows through layers that are 2 `half` wide, and the output."""
    line = colours["line"]
    ends = [(46, CENTRES[0] - half), *((a + half, b - half) for a, b in itertools.pairwise(CENTRES))]
    ends.append((CENTRES[-1] + half, END - 34))
    parts = [text(32, y + 7, "x", colours["text"], 'font-style="italic"')]
    for start, end in ends:
        parts += arrow((start + 3, y), (end - 3, y), line, width)
    return [*parts, text(END + 3, y + 7, words["output"], colours["text"])]


def text(x: float, y: float, content: str, colour: str, more: str = "") -> str:
    """Return a text, centred at x."""
    return f'<text x="{x:g}" y="{y:g}" fill="{colour}"{" " * bool(more)}{more}>{content}</text>'


def box(x: float, y: float, width: float, height: float, colours: dict[str, str]) -> str:
    """Return the frame of a layer."""
    look = f'rx="9" fill="{colours["layer"]}" stroke="{colours["line"]}" stroke-width="1.5"'
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" {look}/>'


def cell(x: float, y: float, radius: float, sign: str, colours: dict[str, str], font: int = 22) -> str:
    """Return a cell with its sign."""
    kind = "plus" if sign == "+" else "minus"
    look = f'fill="{colours[f"{kind}_fill"]}" stroke="{colours[kind]}" stroke-width="2"'
    written = text(x, y + round(font / 3), sign, colours[kind], f'font-size="{font}"')
    return f'<circle cx="{x}" cy="{y}" r="{radius}" {look}/>{written}'


def badge(x: float, y: float, number: int, colours: dict[str, str]) -> str:
    """Return the number of a step in a disc."""
    look = 'font-size="17" font-weight="bold"'
    disc = f'<circle cx="{x:g}" cy="{y:g}" r="12" fill="{colours["error"]}"/>'
    return disc + text(x, y + 6, str(number), colours["on_error"], look)


def stroke(path: str, colour: str, width: float) -> str:
    """Return a line along a path."""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"/>'


def arrow(start: tuple[float, float], end: tuple[float, float], colour: str, width: float) -> list[str]:
    """Return a straight arrow, along x or along y."""
    (x0, y0), (x1, y1) = start, end
    size = 3 * width + 2
    if y0 == y1:
        back = x1 - size if x1 > x0 else x1 + size
        head = f"M{x1:g} {y1:g}L{back:g} {y1 - size / 2:g}V{y1 + size / 2:g}z"
        return [stroke(f"M{x0:g} {y0:g}H{back:g}", colour, width), f'<path d="{head}" fill="{colour}"/>']
    back = y1 - size if y1 > y0 else y1 + size
    head = f"M{x1:g} {y1:g}L{x1 - size / 2:g} {back:g}H{x1 + size / 2:g}z"
    return [stroke(f"M{x0:g} {y0:g}V{back:g}", colour, width), f'<path d="{head}" fill="{colour}"/>']


def xor_learning() -> plots.Animation:
    """Return the animation of README and gallery: XOR's weights and boundary over the epochs."""
    data = edcore.datasets.xor()
    ed = edcore.ED(in_=2, hidden_width=4, hidden_depth=0, rule="split", seed=1)
    return plots.animate("learning", ed, data.x_train, data.y_train, epochs=100, frames=34)


def draw(folder: Path) -> None:
    """Write all drawings, in both languages, light and dark."""
    import depth_picture  # these draw with the functions above
    import pictures_of_signs

    for picture in (broadcast, depth_picture.depth, pictures_of_signs.synapses, pictures_of_signs.split):
        for language in WORDS:
            for theme in THEMES:
                name = f"{picture.__name__}{'' if language == 'en' else '-' + language}-{theme}.svg"
                (folder / name).write_text(picture(language, theme), encoding="utf-8")


def main() -> None:
    """Write all drawings, and the animation."""
    draw(FOLDER)
    xor_learning().save(FOLDER / "xor.gif", dpi=66)


if __name__ == "__main__":
    main()
