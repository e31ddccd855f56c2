"""What a library does first on a GPU: the chain of its parts, which goes on where one of them ends its process."""

import json
import time
from dataclasses import replace

import pytest

from benchmarks import gpu_chain, gpu_first
from edcore.dispatch import registry

CHAIN = """import json, os, sys, time
start = int(sys.argv[sys.argv.index("--from") + 1])
def tell(**what): print(json.dumps(what), flush=True)
for number in range(start, 4):
    tell(begun=f"part {number}")
    print('some library says "hello"', flush=True)
    print("without an end: ", end="", file=sys.stderr, flush=True)
    part = {"part": f"part {number}", "good": number != 2, "seconds": 1, "told": ""}
"""


@pytest.fixture
def run_chain(monkeypatch, tmp_path):
    """Return a function that runs a chain of four parts, with these lines in its loop."""

    def run(*lines, seconds=100):
        program = tmp_path / "chain.py"
        program.write_text(CHAIN + "".join(f"    {line}\n" for line in lines) + "tell(end=True)\n")
        monkeypatch.setattr(gpu_first, "CHAIN", program)
        chain = gpu_first.Chain()
        until, log = time.monotonic() + seconds, tmp_path / "jax.log"
        gpu_first.run_chain(chain, "jax", "cpu", (), until, log, lambda: run.shown.append(len(chain.parts)))
        return chain

    run.shown = []  # how many parts were known, at each look
    return run


def test_it_goes_on_in_a_new_process_behind_a_part_that_ends_one(run_chain):
    chain = run_chain("if number == 1: sys.exit('it is broken')", "tell(**part)", "if number == 2: sys.exit()")
    goods = {part["part"]: part["good"] for part in chain.parts}
    assert goods == {"part 0": True, "part 1": False, "part 2": False, "part 3": True}
    assert run_chain.shown == [1, 2, 3, 3, 4, 4]
    assert chain.parts[1]["told"].startswith("its process ended with exit code 1; its last words: ")
    assert chain.parts[1]["told"].endswith(": it is broken")
    assert (chain.ended, chain.trouble, chain.good) == (True, "", False)


def test_it_is_given_up_where_processes_die_again_and_again(run_chain):
    chain = run_chain("os._exit(3)")
    assert (len(chain.parts), chain.trouble) == (3, "given up, as its processes die")


def test_it_is_ended_when_its_time_is_up(run_chain):
    chain = run_chain("time.sleep(600)", seconds=1)
    assert (chain.parts, chain.trouble, chain.good) == ([], "its time was up", False)


def test_a_process_that_ends_late_or_badly_though_all_is_done(run_chain):
    at_the_end = "tell(**part); number < 3 or tell(end=True); number < 3 or "
    late = run_chain(f"part.update(good=True); {at_the_end}time.sleep(600)", seconds=10)
    assert (len(late.parts), late.ended, late.good) == (4, True, True)
    bad = run_chain(f"{at_the_end}os._exit(9)")
    assert (len(bad.parts), bad.parts[-1]["part"], bad.good) == (5, "the end of its process", False)


def test_an_error_is_the_end_of_a_process_and_a_difference_is_not(capsys):
    def fails(error):
        raise error

    assert gpu_chain.tell("one", lambda: None)
    assert gpu_chain.tell("two", lambda: fails(AssertionError("0.1 apart")))
    assert not gpu_chain.tell("three", lambda: fails(RuntimeError("an illegal address")))
    out, err = capsys.readouterr()
    parts = [line for line in map(json.loads, out.splitlines()) if "part" in line]
    assert [part["good"] for part in parts] == [True, False, False]
    assert [part["told"] for part in parts] == ["", "AssertionError: 0.1 apart", "RuntimeError: an illegal address"]
    assert err.count("Traceback") == 2


def test_a_backend_that_computes_something_else_is_seen(monkeypatch):
    backend = registry.installed()["numpy"].load("cpu")
    update = backend.update
    changed = lambda network, rule, *others: update(network, replace(rule, alpha=0.1), *others)  # noqa: E731
    monkeypatch.setattr(backend, "update", changed)
    with pytest.raises(AssertionError, match="apart, more than 0.0001"):
        dict(gpu_chain.parts(backend, 8, 2))["a small network as NumPy"]()
