"""Show a run of ``edcore train``: a line for each evaluation, a progress bar, a summary, figures of the layers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Console

from edcore.console import bar, print_numbers, print_pairs
from edcore.contract.compilation import clock
from edcore.core.network import Network
from edcore.datasets.catalogue import Dataset
from edcore.datasets.text import are_characters
from edcore.diagnostics.diagnose import DeadStackWarning, diagnose
from edcore.diagnostics.diagnosis import Diagnosis
from edcore.environment import VERSION
from edcore.model.classes import targets
from edcore.model.ed import ED
from edcore.training import History, Progress
from edcore.training.options import as_options

MOST_SHOWN = 40
"""Characters of a vocabulary that a table shows."""

MOST_COUNTED, LONGEST = 5, 10**7
"""Characters that are counted together to compare a text's bits with, and the longest text of which they are."""


class ProgressDisplay:
    """Shows the progress of a run, and sums it up when it ends or stops. `learnt` has each batch that it is shown."""

    def __init__(self, console: Console, learnt: History) -> None:
        self._console, self._learnt = console, learnt
        self._ngrams: tuple[float, ...] | None = None

    @property
    def _evaluated(self) -> Progress | None:
        """The latest evaluation."""
        return self._learnt.evaluations[-1] if self._learnt.evaluations else None

    def follow(self, run: Iterable[Progress], batches: int) -> None:
        """Go through the run, of so many batches, to its end, and show it."""
        with bar(self._console, clock) as shown:
            # Batches learnt before are no measure of the speed, and so of the time left.
            task = shown.add_task("batches", total=batches, completed=len(self._learnt))
            for progress in run:
                if progress.accuracy is not None:
                    self._print(progress)
                shown.update(task, completed=progress.batch)

    def summarise(self, ed: ED, data: Dataset) -> None:
        """Print the results, the data set and the network."""
        self._console.print()
        print_pairs(self._console, self._stopped() | self._figures(data) | describe(ed, data))

    def as_dict(self, ed: ED, data: Dataset) -> dict[str, Any]:
        """Return the results, the data set and the network, as values for JSON."""
        latest, evaluated, error = self._learnt.latest, self._evaluated, self._learnt.mean_error
        return {
            "accuracy": evaluated and evaluated.accuracy,
            "bits": evaluated and evaluated.bits,
            **({"ngram_bits": counts} if (counts := self._counts(data)) else {}),
            "mean_error": error if evaluated and math.isfinite(error) else None,
            "seconds": evaluated and evaluated.seconds,
            "batch": latest.batch if latest else 0,
            "batches": latest and latest.batches,
            "evaluated_at_batch": evaluated and evaluated.batch,
            "dataset": data.name,
            "classes": list(data.classes),
            "train_samples": len(data.x_train),
            "test_samples": len(data.x_test),
            "network": asdict(ed.network),
            "parameters": ed.network.parameters,
            "rule": asdict(ed.rule),
            "seed": ed.seed,
            "backend": ed.backend,
            "device": ed.device,
            "edcore": VERSION,
        }

    def _print(self, progress: Progress) -> None:
        width = len(str(progress.batches))
        # Bits say more than the error, and a line has 80 columns.
        error = f"error {self._learnt.mean_error:.4f}" if progress.bits is None else f"{progress.bits:.3f} bits"
        self._console.print(
            f"batch {progress.batch:{width}}/{progress.batches}  accuracy {progress.accuracy:7.2%}  "
            f"{error}  {_speed(progress):>16}  epoch {progress.epoch}"
        )

    def _figures(self, data: Dataset) -> dict[str, str]:
        evaluated = self._evaluated
        if evaluated is None:
            return {}
        samples, one = "test samples", "sample"
        if are_characters(data.classes):
            samples, one = "characters that were held out", "character"
        return {
            "accuracy": f"{evaluated.accuracy:.2%} of {len(data.x_test):,} {samples}",
            **({} if evaluated.bits is None else {"bits": f"{evaluated.bits:.3f} per {one}, the mean of -log2 p"}),
            **self._counts_in_words(data),
            "mean error": f"{self._learnt.mean_error:.4f}",
            "time in training": f"{evaluated.seconds:,.2f} s",
            "speed": _speed(evaluated),
        }

    def _counts(self, data: Dataset) -> tuple[float, ...]:
        """Return the bits per character of counts of 1, 2, … characters, to compare those of a text with."""
        if self._ngrams is None and are_characters(data.classes):
            from edcore.comparison.ngrams import bits_of_counts

            codes = np.concatenate([data.x_train[0].astype(np.int64), data.y_train, data.y_test])
            cut = data.features + len(data.y_train)
            self._ngrams = bits_of_counts(codes, cut, len(data.classes), MOST_COUNTED) if len(codes) <= LONGEST else ()
        return self._ngrams or ()

    def _counts_in_words(self, data: Dataset) -> dict[str, str]:
        counts = self._counts(data)
        if not counts:
            return {}
        numbers = ", ".join(f"{bits:.2f}" for bits in counts)
        return {"to compare": f"n-grams, n = 1 to {len(counts)}: {numbers} bits"}

    def _stopped(self) -> dict[str, str]:
        """Return the line about a run that was stopped before its end."""
        latest, evaluated = self._learnt.latest, self._evaluated
        if latest is None:
            return {"stopped": "before the first batch was learnt"}
        if latest.batch == latest.batches:
            return {}
        figures = f"the figures are of batch {evaluated.batch:,}" if evaluated else "none was evaluated"
        return {"stopped": f"after {latest.batch:,} of {latest.batches:,} batches; {figures}"}


def describe(ed: ED, data: Dataset) -> dict[str, str]:
    """Return the data set, the network and the backend in words, by their names."""
    if are_characters(data.classes):
        named = {"text": f"{data.name}, {len(data.x_train) + data.features:,} characters to learn"}
        named |= {"characters": characters_in_words(data.classes)}
    else:
        named = {"data set": f"{data.name}, {len(data.x_train):,} training samples"}
        named |= {"classes": ", ".join(map(str, data.classes))}
    return named | describe_network(ed)


def characters_in_words(characters: Sequence[int | str]) -> str:
    """Return the characters of a text for a table."""
    shown = repr("".join(map(str, characters[:MOST_SHOWN])))
    return f"{len(characters):,}, {shown}{' …' if len(characters) > MOST_SHOWN else ''}"


def describe_network(ed: ED) -> dict[str, str]:
    """Return the network and the backend in words, by their names."""
    network = ed.network
    return {
        **shape_in_words(network),
        "parameters": f"{network.parameters:,}",
        "rule": f"{ed.rule.error} error, learning rate {ed.rule.alpha:g}",
        "backend": ed.backend,
        "device": ed.device or "not chosen yet",
        "dtype": network.dtype,
        "seed": str(ed.seed),
    }


def shape_in_words(network: Network) -> dict[str, str]:
    """Return the shape of a network in words, by their names: in one line they would be too long."""
    return {"network": network.hidden_layers, "inputs": f"{network.in_:,}", "outputs": f"{network.columns:,}"}


def _speed(evaluated: Progress) -> str:
    return f"{evaluated.samples / evaluated.seconds:,.0f} samples/s" if evaluated.seconds else "too fast to measure"


SAMPLES = 256
"""Training samples that a network is diagnosed on."""

SNAPSHOTS, LARGEST, MOST_LAYERS = 8, 10**6, 256
"""Diagnoses during a run for pictures, and the most weights of a network that has them; a larger one is diagnosed at
the end. And the most layers that they measure: all of thousands take as long as the run."""

WORK, LEAST_SAMPLES = 5 * 10**9, 32
"""The most products of weights and activities in a forward pass of these diagnoses, and the least samples they have."""


def show_diagnosis(ed: ED, data: Dataset, console: Console) -> None:
    """Print the diagnosis of a network on the first training samples."""
    found = _diagnose(ed, data)
    console.print(f"\nlayers, on {min(SAMPLES, len(data.x_train))} training samples:\n")
    print_numbers(console, found.columns, found.rows)
    if found.floor_in_words:
        console.print(f"\n{found.floor_in_words}", soft_wrap=True)
    if found.warning:
        console.print(f"\nwarning: {as_options(found.warning)}", soft_wrap=True)


class Snapshots:
    """Diagnoses of a network while it learns, for pictures, if they are `wanted`."""

    def __init__(self, ed: ED, data: Dataset, wanted: bool) -> None:
        self.found: list[Diagnosis] = []
        self.at: list[int] = []  # batches learnt at each diagnosis
        self._ed, self._data, self._wanted = ed, data, wanted

    def follow(self, steps: Iterator[Progress]) -> Iterator[Progress]:
        """Yield the steps of a run, and diagnose the network a few times."""
        often = self._wanted and self._ed.network.parameters <= LARGEST
        for progress in steps:
            # Only after an evaluation: until the next batch, no clock counts the time as training.
            due = (self.at[-1] if self.at else 0) + progress.batches / SNAPSHOTS
            if often and progress.accuracy is not None and progress.batch >= due:
                self.add(progress)
            yield progress

    def add(self, progress: Progress) -> None:
        """Diagnose the network after this batch, unless that is done."""
        if progress.batch not in self.at:
            samples = min(SAMPLES, max(LEAST_SAMPLES, WORK // self._ed.network.parameters))
            self.found.append(_diagnose(self._ed, self._data, samples, MOST_LAYERS))
            self.at.append(progress.batch)

    def add_last(self, learnt: History) -> Snapshots:
        """Diagnose the network at the end of a run, if that has learnt and the pictures are wanted."""
        if learnt.latest and self._wanted:
            self.add(learnt.latest)
        return self


def _diagnose(ed: ED, data: Dataset, samples: int = SAMPLES, most_layers: int | None = None) -> Diagnosis:
    x, y = data.x_train[:samples], data.y_train[:samples]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeadStackWarning)  # the table is followed by its text
        return diagnose(ed, x, targets(y, ed.network.columns), most_layers=most_layers)
