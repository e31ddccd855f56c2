"""The outcome of a reproduction as text: tables on the screen, or a page in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.console import Console

from edcore.bench.tables import NumberTable
from edcore.comparison.controls import FROZEN, READOUT
from edcore.console import ABSENT, FIXED
from edcore.reproduce.outcome import EDCORE, NEAR, Outcome, Published, Score, standard_errors_apart
from edcore.sweep.statistics import paired

QUICK = "This is a quick look (`--quick`), with fewer seeds, epochs or settings: its figures are no reproduction."

FOLDED = 80
"""The most columns of a text that was written."""

SHORT = 14
"""The most letters of a cell that shall stay in one line."""


def tables(outcome: Outcome) -> list[NumberTable]:
    """Return the tables of an outcome: the means side by side, those of ED and its controls, and all figures."""
    controls = [method for method in outcome.methods if method in (FROZEN, READOUT)]
    methods = [method for method in outcome.methods if method not in (FROZEN, READOUT)]
    alone = replace(outcome, rows=[replace(score, published=None) for score in outcome.rows])
    beside = [_means(alone, [EDCORE, *controls], "The controls")] if controls else []
    return [_means(outcome, methods, "The means"), *beside, _all_figures(outcome)]


def show(outcome: Outcome, console: Console) -> None:
    """Print an outcome."""
    console.print(outcome.title, soft_wrap=True)
    for line in _lead(outcome):
        console.print(f"\n{line}", soft_wrap=True)
    for table in tables(outcome):
        console.print()
        table.show(console)
    for setting, text in outcome.texts.items():
        console.print(f"\nWritten by ED, {setting}:\n")
        console.print(text, soft_wrap=True)
    for line in [*_verdicts(outcome), *outcome.notes, *_environment(outcome)]:
        console.print(f"\n{line}", soft_wrap=True)


def markdown(outcome: Outcome) -> str:
    """Return an outcome as a page in Markdown, with a picture NAME.png and all values in NAME.json beside it."""
    lines = [f"# {outcome.title}", ""]
    lines += [part for line in _lead(outcome) for part in (line, "")]
    lines += [f"```shell\nedcore reproduce {outcome.name}{' --quick' if outcome.quick else ''}\n```", ""]
    lines += [f"![{outcome.measure}, by {outcome.axis} and method]({outcome.name}.png)", ""]
    for table in tables(outcome):
        lines += [f"## {table.title}", "", *table.in_markdown(), ""]
    for setting, text in outcome.texts.items():
        lines += [f"## Written by ED, {setting}", "", "```text", *_folded(text), "```", ""]
    lines += ["## How, and what to make of it", ""]
    lines += [f"- {line}" for line in [*_verdicts(outcome), *outcome.notes]]
    lines += ["", "  \n".join(_environment(outcome)), ""]
    more = "the value of each seed, standard errors, z, time-outs and the seconds of all seeds"
    lines += [f"[{outcome.name}.json]({outcome.name}.json) has the rest: {more}."]
    return "\n".join(lines) + "\n"


def _folded(text: str) -> list[str]:
    """Return the lines of a text, long ones in parts that fit a page."""
    lines = text.splitlines()
    return [line[start : start + FOLDED] for line in lines for start in range(0, max(len(line), 1), FOLDED)]


def _lead(outcome: Outcome) -> Iterator[str]:
    if outcome.quick:
        yield QUICK
    yield f"{outcome.measure[0].upper()}{outcome.measure[1:]}, by {outcome.axis} and method."


def _means(outcome: Outcome, methods: list[str], title: str) -> NumberTable:
    """Return the means of methods side by side, with the published figures in front of those to compare."""
    columns, cells = _setting_columns(outcome), [_setting_cells(outcome, *key) for key in outcome.settings]
    words, sources = len(columns), set()
    for method in methods:
        scores = [outcome.score(*key, method) for key in outcome.settings]
        for source in dict.fromkeys(score.published.source for score in scores if score and score.published):
            if source not in sources:
                sources.add(source)
                columns.append(source)
                for line, score in zip(cells, scores, strict=True):
                    published = score.published if score else None
                    line.append(_published(outcome, published if published and published.source == source else None))
        with_z = any(score and score.z is not None for score in scores)
        columns += [method, "z"] if with_z else [method]
        for line, score in zip(cells, scores, strict=True):
            line.append(_mean(outcome, score))
            if with_z:
                line.append(_signed(score.z if score else None))
    return NumberTable(columns, cells, words, title)


def _all_figures(outcome: Outcome) -> NumberTable:
    """Return what each score is made of; standard errors, z and time-outs are beside the means or in the JSON file."""
    figures = ["mean", "standard deviation", "lowest … highest", "seeds", "seconds a seed"]
    columns, cells = [*_setting_columns(outcome), "method", *figures], []
    for score in outcome.rows:
        bounds = (min(score.values), max(score.values)) if len(score.values) > 1 else ()
        lowest_highest = f"{FIXED}…{FIXED}".join(_number(outcome, bound) for bound in bounds) or ABSENT
        numbers = [_number(outcome, score.mean), _number(outcome, score.deviation), lowest_highest, str(score.seeds)]
        seconds = _seconds(score.seconds / score.seeds) if score.seconds else ABSENT
        cells.append([*_setting_cells(outcome, score.group, score.setting), score.method, *numbers, seconds])
    return NumberTable(columns, cells, len(_setting_columns(outcome)) + 1, "All figures")


def _verdicts(outcome: Outcome) -> Iterator[str]:
    """Yield for each method how many of its means sampling explains; nothing for a quick look."""
    if outcome.quick:
        return
    for method in outcome.methods:
        judged = [(score, score.z) for score in outcome.rows if score.method == method and score.z is not None]
        if judged:
            far = [f"{score.place} (z {z:+.1f})" for score, z in judged if abs(z) > NEAR]
            listed = f"; apart: {'; '.join(far)}" if far else ""
            near = f"{len(judged) - len(far)} of {len(judged)}"
            yield f"{method}: {near} means lie within {NEAR:g} standard errors of what was published{listed}."
    if any(score.z is not None for score in outcome.rows):
        yield (
            "z is the difference to the published figure in standard errors of both. The spread of the published runs "
            "is not known and taken to be ours."
        )
    yield from agreement(outcome)
    yield from _controls(outcome)


def agreement(outcome: Outcome) -> Iterator[str]:
    """Yield where two methods agree that should, and where both differ from the published mean."""
    first, second = outcome.alike or ("", "")
    pairs = _pairs(outcome, first, second)
    judged = [(ours, other, z) for ours, other in pairs if (z := standard_errors_apart(ours, other)) is not None]
    if not judged:
        return
    far = [f"{ours.place} (z {z:+.1f})" for ours, _, z in judged if abs(z) > NEAR]
    yield (
        f"{first} and {second}, whose random numbers differ, lie within {NEAR:g} standard errors of each other "
        f"in {len(judged) - len(far)} of {len(judged)} settings{'; apart: ' * bool(far)}{'; '.join(far)}."
    )
    both = [ours.place for ours, other, z in judged if abs(z) <= NEAR and _differs(ours) and _differs(other)]
    if both:
        yield (
            f"In {len(both)} setting{'s' * (len(both) != 1)} both agree with each other and differ from the published "
            f"mean: {'; '.join(both)}. There the program as Kaneko published it does not give his table. He "
            "remarks that some figures came from a modified program, and not which."
        )


def _differs(score: Score) -> bool:
    return score.z is not None and abs(score.z) > NEAR


def _controls(outcome: Outcome) -> Iterator[str]:
    """Yield how ED compares with each control: in runs that learn, or in means of the same seeds."""
    for control in (FROZEN, READOUT):
        pairs = _pairs(outcome, EDCORE, control)
        if any(score.timed_out for pair in pairs for score in pair):
            ours, theirs = map(_learnt, zip(*pairs, strict=True))
            yield f"{control}: {theirs} runs learn; of {EDCORE} in the same settings {ours}."
        elif pairs:
            apart = [paired(ours.values[: score.seeds], score.values[: ours.seeds]) for ours, score in pairs]
            found = [one for one in apart if one]
            values = sorted(one.value for one in found)
            ends = values if len(values) < 2 else [values[0], values[-1]]
            bounds = " to ".join(f"{end:+,.{outcome.digits}f}" for end in ends)
            known = [one for one in found if one.half is not None]  # of several seeds
            above, below = (sum(side * one.value > (one.half or 0) for one in known) for side in (1, -1))
            sure = (
                f"; surely (at 95 %) above 0 in {above} of {len(known)} settings, below 0 in {below}" if known else ""
            )
            yield f"{control}: {EDCORE} minus it, in the mean of the same seeds, is {bounds}{sure}."


def _pairs(outcome: Outcome, first: str, second: str) -> list[tuple[Score, Score]]:
    """Return the scores of two methods in the settings that both have."""
    both = ([outcome.score(*key, method) for method in (first, second)] for key in outcome.settings)
    return [(ours, other) for ours, other in both if ours and other]


def _learnt(scores: Sequence[Score]) -> str:
    """Return how many runs have learnt, of all."""
    return f"{sum(len(score.values) for score in scores):,} of {sum(score.seeds for score in scores):,}"


def _environment(outcome: Outcome) -> Iterator[str]:
    runs = outcome.runs
    for run, methods in runs:
        which = f"{', '.join(methods)}: " if len(runs) > 1 else ""
        yield f"{which}{run.environment.software(run.versions)}"
        backends = dict.fromkeys(score.backend for score in outcome.rows if score.backend and score.method in methods)
        by = f"backend {', '.join(backends)} on " if backends else ""
        yield f"{by}{run.environment.machine}"


def _setting_columns(outcome: Outcome) -> list[str]:
    return ["", outcome.axis] if any(group for group, _ in outcome.settings) else [outcome.axis]


def _setting_cells(outcome: Outcome, group: str, setting: str) -> list[str]:
    cells = [group, setting] if any(group for group, _ in outcome.settings) else [setting]
    return [cell.replace(" ", FIXED) if len(cell) <= SHORT else cell for cell in cells]


def _mean(outcome: Outcome, score: Score | None) -> str:
    if score is None:
        return ABSENT
    late = f" ({score.timed_out} time-out{'s' * (score.timed_out != 1)})" if score.timed_out else ""
    return f"{_number(outcome, score.mean)}{late}"


def _published(outcome: Outcome, published: Published | None) -> str:
    if published is None:
        return ABSENT
    value = "" if published.value is None else _number(outcome, published.value)
    return f"{value} ({published.note})" if value and published.note else value or published.note


def _number(outcome: Outcome, value: float | None) -> str:
    return ABSENT if value is None else f"{value:,.{outcome.digits}f}"


def _seconds(seconds: float) -> str:
    return f"{seconds:,.3g}" if seconds < 999.5 else f"{seconds:,.0f}"


def _signed(z: float | None) -> str:
    return ABSENT if z is None else f"{z:+.1f}"
