"""Where and when this runs: versions, commit, processor."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

VERSION = version("edcore")

REPORTED = ("numpy", "numba", "torch", "jax", "cupy")
"""Libraries whose versions are told if they were loaded."""


def versions() -> dict[str, str]:
    """Return the versions of the array libraries that this process has loaded."""
    return {name: str(sys.modules[name].__version__) for name in REPORTED if name in sys.modules}


@dataclass(frozen=True, slots=True)
class Environment:
    """Where and when it was measured, and by which edcore.

    Parameters
    ----------
    date : str
        Date and time, in UTC.
    edcore, python, numpy : str
        Versions.
    commit : str
        The commit of edcore's checkout, with "-dirty" if files differ from it; empty if it is no git checkout.
    system, cpu : str
        Operating system and model of the processor.
    cores : int
        Cores that the system shows.
    """

    date: str
    edcore: str
    python: str
    numpy: str
    commit: str
    system: str
    cpu: str
    cores: int


def here() -> Environment:
    """Return where and when this is."""
    return Environment(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        edcore=VERSION,
        python=platform.python_version(),
        numpy=np.__version__,
        commit=_commit(Path(__file__).parents[1]),
        system=f"{platform.system()} {platform.machine()}",
        cpu=_cpu(Path("/proc/cpuinfo")),
        cores=os.cpu_count() or 1,
    )


def _commit(root: Path) -> str:
    if not (root / ".git").exists():  # an installed edcore may lie in the checkout of something else
        return ""
    git = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git
        return ""


def _cpu(linux: Path) -> str:
    try:
        lines = linux.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
