"""The kernels of narrow networks: the macros for which each is compiled, and the launches."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

from edcore.contract.compilation import begin_compiling, end_compiling, say_compiling
from edcore.core.activations import FUNCTIONS
from edcore.core.method import RMS_EPS
from edcore.core.network import Network
from edcore.core.rule import SPLIT, Rule
from edcore_cupy.layout import Layout

ACTIVATIONS = ("sigmoid", "tanh", "relu", "relu6", "linear")
"""The activations that kernels have, each by its place."""

Options = tuple[str, ...]


def macros(network: Network, layout: Layout, **more: object) -> Options:
    """Return the compiler's options for a network's kernels; each macro of `more` has a value, or is None and left."""
    given = {
        "DOUBLE": int(layout.itemsize == 8),
        "CELLS": layout.cells,
        "P": layout.padded,
        "CHUNK": layout.chunk,
        "N_BIAS": network.n_bias,
        "BIAS": float(network.bias),
        "ACTIVATION": ACTIVATIONS.index(network.activation),
        "OUTPUT_ACTIVATION": ACTIVATIONS.index(network.output_cells),
        "RMS": int(network.rms),
        "RMS_EPS": RMS_EPS,
        "OUTPUTS": network.outputs,
        "OUTPUT_CELLS": len(network.output_signs),
        **more,
    }
    return ("-std=c++17", *(f"-D{name}={value}" for name, value in given.items() if value is not None))


@cache
def chain_macros(network: Network, layout: Layout, rows: int, slots: int) -> Options:
    """Return the options for chain.cu."""
    return macros(network, layout, ROWS=rows, SLOTS=slots)


@cache
def update_macros(network: Network, rule: Rule, layout: Layout) -> Options:
    """Return the options for update.cu."""
    most = FUNCTIONS[network.activation].largest
    return macros(network, layout, **rule_macros(rule), MOST_X=most if math.isfinite(most) else 0)


def rule_macros(rule: Rule) -> dict[str, object]:
    """Return the macros of a rule."""
    return {"SPLIT": int(SPLIT[rule.error]), "FLOOR": None if rule.floor is None else float(rule.floor)}


def sigmoid_scale(network: Network) -> float:
    """Return the factor with which the sigmoid of a sum is 1 / (1 + 2^(factor · sum))."""
    return -2 / (network.u0 * math.log(2))


def source(name: str) -> str:
    """Return the CUDA C++ of a file, with what all of them share."""
    folder, parts = files("edcore_cupy") / "kernels", ["common.cuh", f"{name}.cu"]
    if name == "run":
        parts.insert(1, "run_layers.cuh")
    text = "".join((folder / file).read_text(encoding="utf-8") for file in parts)
    # CuPy writes it to a file in the system's own encoding, which may lack signs that the comments have.
    return text.encode("ascii", "ignore").decode()


class Programs:
    """Kernels, compiled when they are first launched. CuPy keeps what it has compiled in the user's cache."""

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._kernels: dict[tuple[str, str, Options], tuple[Any, int]] = {}

    def launch(
        self, name: str, options: Options, blocks: int, threads: int, *arguments: Any, file: str = "", shared: int = 0
    ) -> None:
        """Launch a kernel of a file, by default that of its own name, on the current stream."""
        kernel = self.prepare(name, options, file=file, shared=shared)
        kernel((blocks,), (threads,), arguments, shared_mem=shared)

    def prepare(self, name: str, options: Options, *, file: str = "", shared: int = 0) -> Callable[..., None]:
        """Return a kernel of a file, which a block may launch with so many bytes of shared memory."""
        key = (file or name, name, options)
        kernel, most = self._kernels.get(key) or (self._compiled(*key), 0)
        if shared > most:  # with the static one it may be more than a block gets without asking
            # Backends on a device share what CuPy has loaded: less than another has asked for would stop its launches.
            most = max(shared, kernel.max_dynamic_shared_size_bytes)
            kernel.max_dynamic_shared_size_bytes = most
        self._kernels[key] = kernel, most
        return kernel

    def _compiled(self, file: str, name: str, options: Options) -> Any:
        say_compiling("cupy", kept=True)
        begin_compiling()
        try:
            return self._cupy.RawModule(code=source(file), options=options).get_function(name)
        finally:
            end_compiling()
