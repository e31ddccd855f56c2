"""Fuzzing of what reads users' files and options, by the coverage of the code that reads them (atheris, libFuzzer).

    pip install -e ".[fuzz]"
    python tests/fuzz                                   # names the targets
    python tests/fuzz csv -runs=1000000                 # one of them; all options of libFuzzer are taken
    python tests/fuzz csv -runs=1000000 corpus          # and keeps what it has found in a folder, for the next time
    python tests/fuzz csv crash-0123                    # the one input that a crash has left

A target is a function of bytes and of an empty folder. It returns whether what the bytes stand for was taken, and
raises whatever is not documented. `tests/fuzz/test_fuzz.py` has Hypothesis call the same functions.
"""
