"""Stop edcore's clock while Numba compiles, for the CPU or for CUDA, or loads machine code from its cache."""

from __future__ import annotations

from numba.core import event

from edcore.contract.compilation import begin_compiling, end_compiling


class _StopsClock(event.Listener):  # type: ignore[misc]  # Numba has no types
    def on_start(self, event: object) -> None:
        begin_compiling()

    def on_end(self, event: object) -> None:
        end_compiling()


# Numba's compilers, numba-cuda's as well, hold this lock from the look into the cache to the machine code.
event.register("numba:compiler_lock", _StopsClock())
