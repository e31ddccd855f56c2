"""Draw accuracy and time against depth for README; `python docs/pictures.py` writes it into docs/_static again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from pictures import THEMES, page, stroke, text

from edcore.plots.canvas import METHODS
from edcore.reproduce.mnist01 import PASS
from edcore.reproduce.outcome import EDCORE, Outcome, Score

RESULTS = Path(__file__).parent / "results" / "article-mnist01.json"

WORDS = {
    "en": {
        "title": "Accuracy and time of training against depth, for ED, back-propagation and direct feedback alignment",
        "description": "Left, the accuracy after one pass over the zeros and ones of MNIST: ED stays at 98.7 % from 1 "
        "to 4096 hidden layers; back-propagation falls from 99.9 % to guessing at 64, and direct feedback alignment at "
        "256. Right, the seconds of training: ED's compiled program takes 0.2 s at 1 hidden layer, 3.6 s at 1024 and "
        "16 s at 4096; the other two, in NumPy, take 0.7 s at 1 hidden layer and 300 s at 1024.",
        "accuracy": "Accuracy (%)",
        "seconds": "Seconds of training",
        "axis": "hidden layers",
        "ED": "ED",
        "back-propagation": "back-propagation",
        "direct feedback alignment": "direct\nfeedback\nalignment",
        "both": "the other two:\nNumPy",
        "compiled": "ED: Numba",
        "chance": "guessing",
        "hollow": "One pass over MNIST’s zeros and ones. ○ one seed",
        "programs": "The times compare programs, not methods.",
    },
    "ja": {
        "title": "層の深さに対する正解率と学習時間。ED法、バックプロパゲーション、Direct Feedback Alignment",
        "description": "左は、MNISTの0と1を1周学習した後の正解率。ED法は隠れ層1から4096まで98.7 %を保つ。"
        "バックプロパゲーションは99.9 %から、64層で当て推量まで下がり、Direct Feedback Alignmentは256層で下がる。"
        "右は学習時間（秒）。コンパイル済みのED法は1層で0.2秒、1024層で3.6秒、4096層で16秒。"
        "NumPyによるほかの2つは1層で0.7秒、1024層で約300秒。",
        "accuracy": "正解率（%）",
        "seconds": "学習時間（秒）",
        "axis": "隠れ層の数",
        "ED": "ED",
        "back-propagation": "バックプロパ\nゲーション",
        "direct feedback alignment": "Direct\nFeedback\nAlignment",
        "both": "ほかの2つ:\nNumPy",
        "compiled": "ED: Numba",
        "chance": "当て推量",
        "hollow": "MNISTの0と1を1周学習。○はシード1つ",
        "programs": "時間はプログラムの比較であり、手法の比較ではない",
    },
}

SHAPES = {"ED": "circle", "back-propagation": "square", "direct feedback alignment": "diamond"}

TOP, BOTTOM, WIDE = 60, 300, 254  # the frame of a panel, and its width
LEFT = {"accuracy": 50, "seconds": 366}
DEPTHS = 12  # doublings from 1 to 4096
GUESS = 53.66  # per cent of the test images are of one class

Place = tuple[float, float]


def depth(language: str, theme: str) -> str:
    """Return accuracy and time against depth as an SVG, side by side."""
    words, colours = WORDS[language], THEMES[theme]
    outcome = Outcome.from_dict(json.loads(RESULTS.read_text(encoding="utf-8")))
    parts = [*accuracies(outcome, words, colours), *times(outcome, words, colours)]
    for y, line in ((380, words["hollow"]), (406, words["programs"])):
        parts.append(text(320, y, line, colours["line"], 'font-size="19"'))
    return page((640, 424), 20, words["title"], words["description"], parts, language, theme)


def accuracies(outcome: Outcome, words: dict[str, str], colours: dict[str, str]) -> Iterator[str]:
    """Yield the panel of the accuracies, with a name at each curve."""
    left = LEFT["accuracy"]

    def height(percent: float) -> float:
        return BOTTOM - (percent - 34) / 66 * (BOTTOM - TOP)

    ticks = {height(percent): str(percent) for percent in (40, 60, 80, 100)}
    yield from frame(left, words["accuracy"], ticks, words["axis"], colours)
    guess = height(GUESS)
    yield f'<path d="M{left} {guess:.1f}h{WIDE}" stroke="{colours["line"]}" stroke-width="1.5" stroke-dasharray="5 5"/>'
    yield text(left + 6, guess - 7, words["chance"], colours["line"], 'font-size="18" text-anchor="start"')
    for method, points in curves(outcome).items():
        yield from curve(method, [(across(left, d), height(s.mean or 0), s.seeds == 1) for d, s in points], colours)
    deepest = curves(outcome)["ED"][-1][1].mean or 0
    yield from label((left + 148, height(deepest) + 30), "ED", f"{words['ED']} {deepest:.1f} %", colours)
    yield from label((left + 62, height(44)), "back-propagation", words["back-propagation"], colours)
    yield from label((left + 158, 148), "direct feedback alignment", words["direct feedback alignment"], colours)


def times(outcome: Outcome, words: dict[str, str], colours: dict[str, str]) -> Iterator[str]:
    """Yield the panel of the times of one seed, on a logarithmic scale."""
    left = LEFT["seconds"]

    def height(seconds: float) -> float:
        return BOTTOM - (math.log10(seconds) + 1.3) / 4 * (BOTTOM - TOP)

    ticks = {height(seconds): f"{seconds:g}" for seconds in (0.1, 1, 10, 100)}
    yield from frame(left, words["seconds"], ticks, words["axis"], colours)
    for method, points in curves(outcome).items():
        places = [(across(left, d), height(s.seconds / s.seeds), s.seeds == 1) for d, s in points]
        yield from curve(method, places, colours)
    yield mark("direct feedback alignment", (left + 24, 111.5), *[METHODS["direct feedback alignment"]] * 2)
    yield from label((left + 24, 96), "back-propagation", words["both"], colours)
    yield from label((left + 133, height(0.13)), "ED", words["compiled"], colours)


def curves(outcome: Outcome) -> dict[str, list[tuple[int, Score]]]:
    """Return depth and score of each method, after one pass; ED last, so that it lies on top."""
    names = [name for name in SHAPES if name != "ED"] + ["ED"]
    rows = [score for score in outcome.rows if score.group == PASS]
    of = {name: EDCORE if name == "ED" else name for name in names}
    return {name: [(int(score.setting), score) for score in rows if score.method == of[name]] for name in names}


def frame(left: float, title: str, ticks: dict[float, str], axis: str, colours: dict[str, str]) -> Iterator[str]:
    """Yield the title of a panel, its grid and the figures at both axes."""
    yield text(left + WIDE / 2, 34, title, colours["text"], 'font-weight="bold"')
    for y, name in ticks.items():
        yield f'<path d="M{left} {y:.1f}h{WIDE}" stroke="{colours["edge"]}" stroke-width="1"/>'
        yield text(left - 8, y + 6.5, name, colours["text"], 'font-size="18" text-anchor="end"')
    for power in range(0, DEPTHS + 1, 2):
        x = across(left, 2**power)
        yield f'<path d="M{x:.1f} {BOTTOM}v6" stroke="{colours["line"]}" stroke-width="1.5"/>'
        if power % 4 == 0:
            yield text(x, BOTTOM + 26, str(2**power), colours["text"], 'font-size="18"')
    yield f'<path d="M{left} {BOTTOM}h{WIDE}" stroke="{colours["line"]}" stroke-width="1.5"/>'
    yield text(left + WIDE / 2, BOTTOM + 50, axis, colours["text"], 'font-size="19"')


def across(left: float, layers: int) -> float:
    """Return where a number of hidden layers stands, on a scale of doublings."""
    return left + 10 + math.log2(layers) / DEPTHS * (WIDE - 24)


def curve(method: str, points: list[tuple[float, float, bool]], colours: dict[str, str]) -> Iterator[str]:
    """Yield a line through the points, and a mark at each, hollow for a single seed."""
    colour = METHODS[method]
    yield stroke("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in points), colour, 3)
    for x, y, hollow in points:
        yield mark(method, (x, y), colour, colours["page"] if hollow else colour)


def mark(method: str, place: Place, colour: str, fill: str) -> str:
    """Return the mark of a method: a circle, a square or a diamond, as on the other pictures."""
    (x, y), look = place, f'fill="{fill}" stroke="{colour}" stroke-width="2"'
    if SHAPES[method] == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" {look}/>'
    if SHAPES[method] == "square":
        return f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" {look}/>'
    return f'<path d="M{x:.1f} {y - 6.5:.1f}l6.5 6.5l-6.5 6.5l-6.5-6.5z" {look}/>'


def label(place: Place, method: str, name: str, colours: dict[str, str]) -> Iterator[str]:
    """Yield the lines of a name, behind the mark of its method."""
    x, y = place
    yield mark(method, (x, y - 6.5), METHODS[method], METHODS[method])
    for number, line in enumerate(name.split("\n")):
        yield text(x + 12, y + 22 * number, line, colours["text"], 'font-size="19" text-anchor="start"')
