"""The targets by name, and the inputs that each begins with."""

import gzip
import io as streams

import numpy as np

from fuzz import files, options, tables

TARGETS = {
    "file": files.container_bytes,
    "file-header": files.container_header,
    "file-document": files.container_document,
    "estimator": files.estimator_tree,
    "npy": tables.npy,
    "npy-header": tables.npy_header,
    "csv": tables.csv,
    "table": tables.table,
    "idx": tables.idx_images,
    "idx-gzip": tables.idx_gzip,
    "idx-folder": tables.idx_folder,
    "config": options.config,
    "config-options": options.config_of_options,
    "labels": options.labels,
    "lines": options.lines,
    "completion": options.completion,
}

WORDS = {
    "file": ('{"edcore":"', "data_offsets", "dtype", "shape", "F32", "I64", "__metadata__"),
    "npy": ("descr", "fortran_order", "shape", "<f8", "|O", "True", "(2, 2)", "\x93NUMPY"),
    "csv": ("nan", "inf", "1e9", "0x1", "\r\n", "\x0c", "\x85", "\ufeff", '"', "#", "NA"),
    "table": ("NA", "1,5", "1.234,5", "1e400", "\r\n", "\x81", "\ufeff", '"', ";", "\t", "|", "Unnamed: 0", "True"),
    "config": (
        *(
            "[train]",
            "[[train]]",
            "train.",
            '"""',
            "'''",
            "0xff",
            "1e400",
            "inf",
            "nan",
            "true",
            "\\u0000",
            "\\U0010ffff",
        ),
        *("1979-05-27T07:32:00Z", "width", "depth", "classes", "rule", "dtype", "alpha", "resume", "run.safetensors"),
        *("dataset", "plot", "seed", "rms", "device", "backend", "u0", "json", "every", "float64", "kaneko", "xor"),
    ),
    "labels": ("all", "0,1", "parity", "inf", "nan", "1e9", "_", "٤"),
    "completion": (
        "--backend",
        "--rule",
        "--dataset",
        "--config",
        "train",
        "predict",
        "info",
        "check",
        "run.toml",
        "'",
    ),
}
"""Words that such inputs contain, for a fuzzer to combine."""


def seeds(name):
    """Return inputs of a target that are valid, or nearly so."""
    match name:
        case "file":
            return [*files.examples(), *files.models()]
        case "npy":
            return [
                _npy(np.eye(2)),
                _npy(np.arange(3)),
                _npy(np.zeros((1, 2), ">f4")),
                _npy(np.array([tables.Canary()])),
            ]
        case "csv":
            return [
                b"1,2\n3,4\n",
                b"a,b\r\n1,2\r\n",
                b"\xef\xbb\xbfx\n1e3\n",
                b"1\n\n 2 \n",
                b"1,\n",
                b'"a","b"\n1,2\n',
            ]
        case "table":
            archive = streams.BytesIO()
            np.savez(archive, x=np.eye(2), y=np.array(["a", "b"]))
            texts = (",a,b\n0,1,x\n1,,y\n", "a;b\n1,5;2\n1.234,5;3\n", 'a\t"b\nc"\n1\tx\n', "名前,b\n東京,1\n")
            return [
                *(
                    b"\0" + text.encode(encoding)
                    for text, encoding in zip(texts, ("utf-8", "utf-16", "utf-8", "cp932"), strict=True)
                ),
                bytes([tables.ENDINGS.index(".csv.gz")]) + gzip.compress(b"a,b\n1,2\n", mtime=0),
                bytes([tables.ENDINGS.index(".npz")]) + archive.getvalue(),
                bytes([tables.ENDINGS.index(".npy")]) + _npy(np.eye(2)),
            ]
        case "idx":
            return [tables.IMAGES, tables.LABELS, tables.IMAGES[:-1], tables.IMAGES[:16]]
        case "config":
            return [
                b"[train]\nwidth = 32\n",
                b'[train]\nclasses = [3, 7]\nrule = "split"\njson = true\n',
                b'[train]\ndataset = "xor"\nalpha = 0.5\nseed = 4\n\n[bench]\nwidth = 9\n',
                b'train.resume = "run.safetensors"',
                b"train = 3\n",
            ]
        case "labels":
            return [b"0,1", b"all", b"parity", b"0.5,1"]
        case "completion":
            return [
                b"train\n--backend\n",
                b"train\n--rule\nk",
                b"check\nnu",
                b"train\n--config\nrun.toml\n--dataset\npar",
            ]
        case _:
            return [b"", bytes(8), bytes(range(32))]


def _npy(array):
    content = streams.BytesIO()
    np.save(content, array)
    return content.getvalue()
