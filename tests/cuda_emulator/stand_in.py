"""The stand-in libcuda: built once from driver/, and kept with the kernels in one folder."""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from cuda_emulator.build import c_compiler, compiled

HERE = Path(__file__).parent

COMMAND = ("g++", "-std=c++17", "-O2", "-fvisibility=hidden", "-fPIC", "-shared", "-Wl,-soname,libcuda.so.1")


def why_not() -> str:
    """Return why the emulator does not work on this machine; empty if it does."""
    if platform.system() != "Linux":
        return f"the emulator is for Linux, not for {platform.system()}"
    missing = [name for name, path in (("g++", shutil.which("g++")), ("gcc or clang", c_compiler())) if path is None]
    return f"the emulator needs {' and '.join(missing)}" if missing else ""


def folder() -> Path:
    """Return the folder of what is built; the environment variable CUDA_EMULATOR_CACHE can name it."""
    given = os.environ.get("CUDA_EMULATOR_CACHE")
    return Path(given) if given else Path(tempfile.gettempdir()) / f"cuda-emulator-{getpass.getuser()}"


def stand_in() -> Path:
    """Return the stand-in libcuda. It is built where there is none of these sources and this compiler yet."""
    sources = sorted((HERE / "driver").glob("*.cpp"))
    headers = [*sorted((HERE / "driver").glob("*.h")), HERE / "emulator.h"]
    version = subprocess.run([COMMAND[0], "--version"], capture_output=True, text=True, check=True).stdout
    parts = [version, *COMMAND, *(path.read_text() for path in [*sources, *headers])]
    built = folder() / f"driver-{hashlib.sha256(''.join(parts).encode()).hexdigest()[:32]}.so"
    if not built.exists():
        folder().mkdir(parents=True, exist_ok=True)
        compiled(built, *COMMAND, f"-I{HERE}", *map(str, sources), "-ldl")
    return built
