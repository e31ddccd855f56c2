"""Fuzzing of the code that reads users' files and options, guided by its coverage (atheris, libFuzzer).

    pip install -e ".[fuzz]"
    python tests/fuzz                                   # names the targets
    python tests/fuzz csv -runs=1000000                 # runs one of them, with any options of libFuzzer
    python tests/fuzz csv -runs=1000000 corpus          # keeps its inputs in a folder, for the next time
    python tests/fuzz csv crash-0123                    # repeats the input of a crash

A target is a function of bytes and of an empty folder. It returns whether the input that the bytes stand for was
accepted, and raises every error that is not documented. `tests/fuzz/test_fuzz.py` calls the same functions.
"""
