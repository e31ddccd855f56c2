"""Kernel libraries from PTX text: translated, compiled by the C compiler, and kept."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

from cuda_emulator.translate import translate

HERE = Path(__file__).resolve().parent

FLAGS = ("-std=gnu11", "-O1", "-w", "-fPIC", "-shared", "-ffp-contract=off", "-fwrapv", "-fno-strict-aliasing")
"""What PTX says of its numbers: no product and sum in one, whole numbers wrap, and any bytes may be any type."""

ROUGH = ("-DEMU_ROUGH",) * (os.environ.get("CUDA_EMULATOR_ROUGH") == "1")
"""Where it is set, approximations are off by as much as hardware's may be, and not exact."""


def c_compiler() -> str | None:
    """Return the C compiler of this machine, or None."""
    return next(filter(None, map(shutil.which, (os.environ.get("CC") or "cc", "gcc", "clang"))), None)


def build(ptx: str, folder: Path) -> Path:
    """Return the kernel library of a PTX text, in `folder`. It is built only where it is not there yet."""
    library = folder / f"{hashlib.sha256((ptx + _made_by()).encode()).hexdigest()[:32]}.so"
    if library.exists():
        return library
    compiler = c_compiler()
    if compiler is None:
        raise FileNotFoundError("there is no C compiler: cc, gcc and clang are not on the PATH")
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"{library.stem}-{os.getpid()}.c"
    source.write_text(translate(ptx))
    fused = ["-mfma"] if platform.machine() in ("x86_64", "AMD64") else []
    compiled(library, compiler, *FLAGS, *ROUGH, *fused, f"-I{HERE}", str(source), "-lm")
    source.replace(library.with_suffix(".c"))
    return library


def compiled(library: Path, *command: str) -> Path:
    """Run a compiler, which makes this library, and return it."""
    # Others may make the same one now: each has files of its own, and the last to finish is as good as the first.
    begun = library.with_suffix(f".{os.getpid()}")
    run = subprocess.run([*command, "-o", str(begun)], capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{command[0]} refuses what is to be {library}: {run.stderr[:2000]}")
    begun.replace(library)
    return library


@cache
def _made_by() -> str:
    """Return what a library depends on beside its PTX."""
    modules = (HERE / f"{name}.py" for name in ("ptx", "operands", "translate"))
    own = [*HERE.glob("*.h"), *HERE.glob("rules/*.py"), *modules]
    return "".join(path.read_text() for path in sorted(own)) + f"{FLAGS} {ROUGH} {c_compiler()}"
