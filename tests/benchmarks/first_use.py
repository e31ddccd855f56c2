"""Time the first use of Numba's CPU kernels, which compiles them, beside the second one, which finds them in a cache.

    python tests/benchmarks/first_use.py

Each program is a process of its own, with an empty cache folder for its first run.
"""

import os
import subprocess
import sys
import tempfile
import time

XOR = (
    "import edcore\ndata = edcore.datasets.xor()\nx, y = data.x_train, data.y_train\n"
    "ed = edcore.ED(hidden_width=8, backend='numba', seed=0)\n"
)
PROGRAMS = {
    "`edcore train --dataset digits --classes 0,1 --depth 1`": [
        *("-m", "edcore", "train", "--dataset", "digits", "--classes", "0,1", "--depth", "1", "--backend", "numba")
    ],
    "`ED.step` on XOR": ["-c", XOR + "ed.step(x, y)"],
    "`ED.fit` on XOR, sample by sample": ["-c", XOR + "ed.fit(x, y, batch_size=1)"],
    "`ED.predict`": ["-c", XOR + "ed.predict(x)"],
    "`EDClassifier.fit` on digits, an epoch": [
        "-c",
        "import edcore\nfrom sklearn.datasets import load_digits\n"
        "edcore.EDClassifier(max_iter=1, backend='numba').fit(*load_digits(return_X_y=True))",
    ],
}


def main() -> None:
    """Print the table in Markdown."""
    print("| program | first use, s | second, s | compiled, s |\n|---|---:|---:|---:|")
    for name, arguments in PROGRAMS.items():
        with tempfile.TemporaryDirectory() as folder:
            times = []
            for _ in range(3):
                start = time.perf_counter()
                own = {**os.environ, "NUMBA_CACHE_DIR": folder}
                subprocess.run([sys.executable, *arguments], env=own, check=True, capture_output=True)
                times.append(time.perf_counter() - start)
        print(f"| {name} | {times[0]:.1f} | {min(times[1:]):.1f} | {times[0] - min(times[1:]):.1f} |", flush=True)


if __name__ == "__main__":
    main()
