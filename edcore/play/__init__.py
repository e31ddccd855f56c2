"""A page to play with: a small network that learns in a browser, by ED and by back-propagation, side by side."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from string import Template
from typing import Any, Literal, TypeAlias, get_args

from edcore.arguments import one_of
from edcore.datasets import catalogue as datasets
from edcore.environment import VERSION

__all__ = ["html"]

Language: TypeAlias = Literal["en", "ja"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


def html(language: Language = "en") -> str:
    """Return a page with small networks that learn in the browser, by ED and by back-propagation, side by side.

    Everything is in the page: it loads nothing, from this machine or the network. Its arithmetic of ED is that of the
    backend ``"loop"`` in float64, and its seeds are edcore's.

    Parameters
    ----------
    language : {"en", "ja"}
        The language in which it opens. It has a switch.

    Returns
    -------
    str
        The page; write it as UTF-8.

    Raises
    ------
    InputError
        If the language is another one.

    Examples
    --------
    >>> from edcore.play import html
    >>> html("ja").splitlines()[1]
    '<html lang="ja">'
    """
    one_of("language", language, LANGUAGES)
    words = json.loads(_source("words.json"))
    return Template(_source("page.html")).substitute(
        language=language,
        title=words[language]["title"],
        description=words[language]["description"],
        style=_source("style.css"),
        engine=_source("engine.js") + _source("draw.js"),
        view=_source("view.js"),
        words=_embedded(words),
        samples=_embedded(_samples()),
        version=VERSION,
    )


def _source(name: str) -> str:
    return resources.files("edcore.play").joinpath(name).read_text(encoding="utf-8")


def _embedded(value: Any) -> str:
    """Return a value as JSON that cannot end the script in which it stands."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")


@cache
def _samples() -> dict[str, Any]:
    """Return the samples of each task."""
    from sklearn.datasets import make_moons  # here, as it takes a second

    x, y = make_moons(80, noise=0.1, random_state=1)
    x = ((x - x.min(0)) / (x.max(0) - x.min(0))).round(3)
    found = {"moons": {"x": x.tolist(), "y": y.tolist()}}
    for name, data in (("xor", datasets.xor()), ("parity", datasets.parity(3))):
        found[name] = {"x": data.x_train.astype(int).tolist(), "y": data.y_train.astype(int).ravel().tolist()}
    digits = datasets.digits(classes=(0, 1))
    # A letter for each pixel, whose values are sixteenths.
    images = {
        name: "".join(chr(97 + int(value)) for value in (16 * x).round().ravel())
        for name, x in (("x", digits.x_train), ("xTest", digits.x_test))
    }
    answers = {"y": digits.y_train, "yTest": digits.y_test}
    found["digits"] = images | {name: y.astype(int).ravel().tolist() for name, y in answers.items()}
    return found
