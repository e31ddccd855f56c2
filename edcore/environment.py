"""Facts of this machine and installation: versions, commit, processor."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from edcore.errors import EDCoreError

try:
    VERSION = version("edcore")
except PackageNotFoundError:  # a copy of its folder, an archive or a program that has not taken the metadata along
    VERSION = "0+unknown"

REPORTED = ("numpy", "numba", "torch", "jax", "cupy")
"""Libraries whose versions are reported if they are loaded."""


def versions() -> dict[str, str]:
    """Return the versions of the array libraries that this process has loaded."""
    found = {name: getattr(sys.modules.get(name), "__version__", None) for name in REPORTED}
    return {name: str(version) for name, version in found.items() if version is not None}


def missing(package: str) -> str:
    """Return why a package cannot be used here, or an empty string: it is not installed, or a file hides it.

    Python looks in the folder of a script first, so a user's own numba.py stands for Numba. It is not imported.
    """
    loaded = sys.modules.get(package)
    made_here = getattr(getattr(loaded, "__spec__", None), "loader", None) is None  # and not found in a file
    if loaded is not None and (hasattr(loaded, "__version__") or made_here):
        return ""
    if (spec := find_spec(package)) is None:
        return f"the package {package} is not installed"
    found, installed = Path(spec.origin or next(iter(spec.submodule_search_locations or ()), package)), None
    with contextlib.suppress(PackageNotFoundError):
        installed = Path(str(distribution(package).locate_file(f"{package}/__init__.py")))
    other = installed is not None and installed.exists() and found.exists() and not found.samefile(installed)
    # Each library is a folder with an __init__.py, and has a version once it is loaded. It may be elsewhere than its
    # metadata, as in a bundle of a program.
    if spec.origin and spec.submodule_search_locations is not None and not other and loaded is None:
        return ""
    found = found.parent if found.name == "__init__.py" else found
    shown = str(found).replace(f"{Path.cwd()}{os.sep}", f".{os.sep}", 1)
    return f"{package} is {shown}, which is not the library of that name; rename it"


def install_helps(reason: str) -> bool:
    """Return whether packages may be what lacks, where a backend cannot run here for this reason."""
    return not any(words in reason for words in ("; rename it", "NUMBA_DISABLE_JIT is set", "a forked process"))


def missing_for(error: ImportError) -> str:
    """Return why the package of a failed import cannot be imported, or an empty string if it can."""
    package = (error.name or "").partition(".")[0]
    return "" if package in ("", "edcore", *sys.stdlib_module_names) else missing(package)


def check_package(package: str, extra: str, what: str) -> None:
    """Refuse what needs a package that cannot be imported, and say how to install it."""
    if reason := missing(package):
        needs = f"{what} needs the package {package}"
        if "is not installed" not in reason:
            raise EDCoreError(f"{needs}: {reason}.")
        raise EDCoreError(f'{needs}, which is not installed. Install it with: pip install "edcore[{extra}]".')


@contextlib.contextmanager
def of_version(what: str, version: object) -> Iterator[None]:
    """Read a pickle's state in a block; warn if it comes from another version of edcore, or say so if it cannot be."""
    written = f"edcore {version}" if isinstance(version, str) else "an edcore that wrote no version"
    said, later = f"{what} was pickled by {written}", "Files of edcore.io.save can be read by later versions."
    try:
        yield
    except Exception as error:
        if version == VERSION:
            raise
        raise EDCoreError(f"{said}, and cannot be read by edcore {VERSION}. {later}") from error
    if version != VERSION:
        fix = "It may fail or predict something else."
        warnings.warn(f"{said}; this is edcore {VERSION}. {fix} {later}", stacklevel=4)


@dataclass(frozen=True, slots=True)
class Environment:
    """Date, versions and machine of a measurement."""

    date: str  # and time, in UTC
    edcore: str
    python: str
    numpy: str
    commit: str  # of edcore's checkout, as `commit` returns it
    system: str
    cpu: str
    cores: int  # that this process may use, by its affinity and its container's share of time

    def software(self, libraries: Mapping[str, str]) -> str:
        """Return the day, the versions of edcore and of these libraries, and the commit, in words."""
        commit = f" (commit {self.commit})" if self.commit else ""
        versions = {"edcore": self.edcore, **libraries}
        return f"{self.date[:10]}, {', '.join(f'{name} {version}' for name, version in versions.items())}{commit}"

    @property
    def machine(self) -> str:
        """The processor, the system, and Python, in words."""
        return f"{self.cpu}, {self.cores} cores, {self.system}, Python {self.python}"


def here() -> Environment:
    """Return the environment of this process, now."""
    from joblib import cpu_count  # here, as it is slow to load

    return Environment(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        edcore=VERSION,
        python=platform.python_version(),
        numpy=np.__version__,
        commit=commit(Path(__file__).parents[1]),
        system=f"{platform.system()} {platform.machine()}",
        cpu=processor(Path("/proc/cpuinfo")),
        cores=cpu_count(),
    )


def has_avx512() -> bool:
    """Return whether NumPy uses AVX-512 here; False where NumPy does not say."""
    try:
        features = import_module("numpy._core._multiarray_umath").__cpu_features__
    except (ImportError, AttributeError):  # it is NumPy's own, and may move
        return False
    return bool(features.get("AVX512_SKX") or features.get("X86_V4"))


def commit(root: Path) -> str:
    """Return the commit that is checked out in a folder, with "-dirty" if files differ; empty if it is no checkout."""
    if not (root / ".git").exists():  # git would look further up: an installed edcore may lie in another checkout
        return ""
    import subprocess  # here, as `import edcore` loads this module

    # Not `describe --dirty`, which writes the index: one that is killed leaves a lock in the way of the user's commits.
    git = ["git", "--no-optional-locks", "-C", str(root), "status"]
    git += ["--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        lines = subprocess.run(git, capture_output=True, text=True, check=False).stdout.splitlines()
    except OSError:  # no git
        return ""
    if not lines or "(initial)" in lines[0]:  # no commit yet
        return ""
    return lines[0].split()[-1][:7] + "-dirty" * any(not line.startswith("#") for line in lines)


def processor(cpuinfo: Path) -> str:
    """Return the model of the processor, from Linux's list or from Python."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
