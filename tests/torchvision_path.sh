#!/usr/bin/env bash
# Opt-in check of edcore.datasets beside a real torchvision, in a virtual environment of its own (5 GB, some minutes).
#
#     tests/torchvision_path.sh [DATA_DIR]
#
# DATA_DIR is the folder that holds MNIST/raw; left out, it is ../shared/data beside the repository.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data=${1:-$repository/../shared/data}
if [[ ! -d $data/MNIST/raw ]]; then
    echo "torchvision_path.sh: no folder $data/MNIST/raw; give the folder that holds MNIST/raw as the argument." >&2
    exit 1
fi
data=$(cd "$data" && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# torchvision reads the unpacked files only, and the data folder may be read-only.
mkdir -p "$work/copy/MNIST/raw" "$work/empty"
for name in {train,t10k}-{images-idx3,labels-idx1}-ubyte; do
    file=$data/MNIST/raw/$name
    if [[ -f $file ]]; then cat "$file"; else gzip -dc "$file.gz"; fi > "$work/copy/MNIST/raw/$name"
done

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet "$repository[torchvision]"

# From another folder and isolated, so that what was installed is what is imported.
cd "$work"
venv/bin/python -I - "$data" copy empty <<'PYTHON'
import socket
import sys
import traceback

import numpy as np
import torchvision

import edcore
from edcore import datasets

given, copy, empty = sys.argv[1:]
socket.setdefaulttimeout(60)  # a network that never answers is a failed download
print(f"edcore {edcore.__version__} from {edcore.__file__}; torchvision {torchvision.__version__}")


def check_same(data, folder):
    for part, x, y in (("train", data.x_train, data.y_train), ("test", data.x_test, data.y_test)):
        theirs = torchvision.datasets.MNIST(folder, train=part == "train", download=False)
        pixels = theirs.data.numpy().reshape(len(theirs), -1).astype(x.dtype) / 255
        np.testing.assert_array_equal(x, pixels, strict=True)
        np.testing.assert_array_equal(y, theirs.targets.numpy(), strict=True)


for folder in (given, copy):
    for dtype in ("float32", "float64"):
        check_same(datasets.mnist(folder, dtype=dtype), copy)
        print(f"same images and labels as torchvision's: {folder}, {dtype}")

for function, kind in ((datasets.mnist, "MNIST"), (datasets.fashion_mnist, "FashionMNIST")):
    try:
        data = function(empty)
    except edcore.DataFileError as error:
        frames = traceback.extract_tb(error.__cause__.__traceback__)
        asked = [frame for frame in frames if "torchvision" in frame.filename and frame.name == "download"]
        if not asked:
            raise
        print(f"{kind}, empty folder: torchvision was asked, and could not download: {error.__cause__!r}")
        print(f"    told as: {error}")
    else:
        if kind == "MNIST":
            check_same(data, copy)
        print(f"{kind}, empty folder: torchvision downloaded {len(data.x_train)} + {len(data.x_test)} images")
PYTHON
echo "torchvision_path.sh: all checks passed."
