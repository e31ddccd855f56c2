"""Write the files of version 0.1 again: run by commit 0de9432, in a folder that is empty.

python make.py FOLDER
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import safetensors.numpy

import edcore

BITS = np.array([[number >> bit & 1 for bit in range(3)] for number in range(8)], float)
RUNS = {
    "xor-signed": "--dataset xor --width 4 --depth 1 --batch-size 3 --epochs 6",
    "xor-split": "--dataset xor --rule split --width 4 --depth 2 --batch-size 3 --epochs 6 --dtype float64",
    "parity3-kaneko": "--dataset parity3 --rule kaneko --width 6 --batch-size 3 --epochs 6 --dtype float64",
    "xor-edla": "--dataset xor --rule edla --width 4 --batch-size 3 --epochs 6",
    "digits-heads": "--dataset digits --classes 0,1,2 --width 3 --depth 1 --batch-size 64 --epochs 2",
    "digits-modulo": "--dataset digits --classes 0,1,2 --rule modulo --width 4 --batch-size 64 --epochs 2",
}
EACH_RUN = "--eval-every 4 --seed 3 --backend loop --every 3"


def write_networks(folder):
    """Train a network with each preset, and save it and its outputs."""
    outputs = {}
    for preset in edcore.PRESETS:
        columns = {"outputs": 3} if preset == "modulo" else {"heads": 2}
        dtype = "float64" if preset in ("kaneko", "split") else "float32"
        shape = {"in_": 3, "hidden_width": 4, "hidden_depth": 2}
        ed = edcore.ED(**shape, **columns, rule=preset, seed=5, dtype=dtype, backend="loop")
        target = [BITS.sum(axis=1) % 2, BITS.sum(axis=1) > 1, BITS[:, 0]]
        ed.fit(BITS, np.stack(target[: ed.network.columns], axis=1), epochs=3, batch_size=4)
        edcore.io.save(ed, folder / f"network-{preset}.safetensors", classes=list("abc"[: ed.network.columns]))
        outputs[preset] = ed.predict(BITS)
    safetensors.numpy.save_file(outputs, folder / "outputs.safetensors")


def write_run(name, options, folder):
    """Run `edcore train`, and keep its third checkpoint, which is about half of it, and its last."""
    from edcore import cli

    finished, written, write_whole = folder / f"finished-{name}.safetensors", 0, edcore.io.write_whole

    def write(path, content, new=False):
        nonlocal written
        write_whole(path, content, new=new)
        written += 1
        if written == 3:
            shutil.copy(path, folder / f"checkpoint-{name}.safetensors")

    edcore.io.write_whole = write
    try:
        cli.main(["train", *options.split(), *EACH_RUN.split(), "--checkpoint", str(finished)])
    except SystemExit as end:
        if end.code:
            raise
    finally:
        edcore.io.write_whole = write_whole


if __name__ == "__main__":
    write_networks(Path(sys.argv[1]))
    for name, options in RUNS.items():
        write_run(name, options, Path(sys.argv[1]))
