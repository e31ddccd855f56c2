"""What the suite finds in a backend, and its words: the simplest finding in full, and one line for each other."""

from __future__ import annotations

from dataclasses import dataclass

from edcore.testing.compare import Place
from edcore.testing.diagnosis import Diagnosis


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a backend.

    Parameters
    ----------
    cause : str
        Its name, a key of `edcore.testing.hints.HINTS`.
    title, advice : str
        What is wrong, and what to look at.
    checks : tuple of str
        The checks that fail by it, the simplest first.
    perhaps : tuple of str
        Checks that probably fail by it too: their numbers are wrong at the same step or later, in no usual way.
    message : str
        The error of the first check.
    case : str
        The simplest case that fails, as code; empty if the check has none.
    passes_with : tuple of str
        Simpler values of the case's fields, each of which lets it pass.
    diagnosis : Diagnosis
        The numbers at the worst place of that case, and where an exception comes from.
    traceback : str
        The whole error.
    """

    cause: str
    title: str
    advice: str
    checks: tuple[str, ...]
    perhaps: tuple[str, ...]
    message: str
    case: str
    passes_with: tuple[str, ...]
    diagnosis: Diagnosis
    traceback: str


@dataclass(frozen=True)
class Report:
    """What the suite found.

    Parameters
    ----------
    backend, device : str
        The backend's name, and its device.
    passed : tuple of str
        The checks that passed.
    failed : dict of str to str
        The checks that failed, each with the first line of its error.
    findings : tuple of Finding
        One for each cause, the simplest first.
    """

    backend: str
    device: str
    passed: tuple[str, ...]
    failed: dict[str, str]
    findings: tuple[Finding, ...]

    def text(self, *, verbose: bool = False) -> str:
        """Return what is wrong, as `edcore check` prints it.

        Parameters
        ----------
        verbose : bool
            Say all there is to say of each cause, with the whole errors, and not of the simplest alone.

        Returns
        -------
        str
            Lines; empty if all checks passed.
        """
        return "\n".join(text_of(self, verbose=verbose)).strip("\n")


def lines_of(finding: Finding, *, verbose: bool = False) -> list[str]:
    """Return what there is to say of a finding, line by line."""
    found = finding.diagnosis
    lines = [finding.title, finding.advice]
    if found.source is not None:
        source = found.source
        lines.append(f"Where: {source.file}, line {source.line}, in {source.function}: {source.type}: {source.message}")
    lines.append(f"Message: {finding.message}")
    if finding.case:
        lines.append(f"Simplest case: {finding.case}")
    if finding.passes_with:
        lines.append(f"It passes with {' or '.join(finding.passes_with)}.")
    if found.place is not None and found.stage in ("forward", "update"):
        before = "" if found.before is None else f"before {found.before:.9g}, "
        lines.append(f"{spot(found.place)}: {before}got {found.place.got:.9g}, expected {found.place.expected:.9g}")
    if found.ratio is not None:
        lines.append(f"Ratio of the change there, got by expected: {found.ratio + 0.0:.4g}")  # 0 rather than -0
    shown = {key: "varies" if ratio is None else f"{ratio:.2g}" for key, ratio in found.ratios.items()}
    if len(set(shown.values())) > 1:
        each = [f"{key} {ratio}" for key, ratio in shown.items() if ratio != "1"]
        lines.append("; ".join(["Ratios by array: " + ", ".join(each), *["all others 1"] * ("1" in shown.values())]))
    if len(finding.checks) > 1:
        lines.append(f"Fails too: {', '.join(finding.checks[1:])}")
    if finding.perhaps:
        lines.append(f"Perhaps by this too: {', '.join(finding.perhaps)}")
    return [*lines, finding.traceback] if verbose else lines


def spot(place: Place) -> str:
    """Return the place of a weight in words."""
    part = place.what.partition(".")[2]
    if not part:
        return f"{place.what}{list(place.index)} (sample {place.index[0]}, column {place.index[1]})"
    head, *position, source, target = place.index
    where = f"head {head}" + (f", position {position[0]} of the hidden stack" if position else "")
    kind = "bias cell" if part == "bias" else "source cell"
    return f"{place.what}{list(place.index)} ({where}, {kind} {source}, target cell {target})"


def text_of(report: Report, *, verbose: bool = False) -> list[str]:
    """Return a report line by line: the simplest finding in full, and one line for each other."""
    lines = []
    for number, finding in enumerate(report.findings):
        first, *others = finding.checks
        if number and not verbose:
            also = f" ({', '.join(others)} too)" if others else ""
            lines.append(f"Then {first}: {finding.title}{also}")
            continue
        lines += [*[""] * bool(number), f"{'Then' if number else 'Start here'}: {first}"]
        lines += [f"  {line}" for text in lines_of(finding, verbose=verbose) for line in text.split("\n")]
    return lines
