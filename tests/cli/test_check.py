"""The command edcore check: which checks it runs, and what it says of a wrong backend."""

import json
import re
import sys

import pytest

import edcore.testing
import faulty_backends as faulty
from edcore.contract.backend import API_VERSION, Availability, BackendInfo
from edcore.testing import reporting


def entry(name, load, reason=""):
    return BackendInfo(
        name=name,
        summary="for a test",
        install="",
        priority=0,
        device_types=("cpu",),
        namespaces=(),
        api_version=API_VERSION,
        probe=lambda device: Availability(not reason, reason),
        load=load,
    )


@pytest.fixture
def checks(monkeypatch):
    """The checks that the suite has; a test lists its own."""
    checks = []
    monkeypatch.setattr(reporting, "iter_checks", lambda quick=False: iter(checks[:1] if quick else checks))
    return checks


def passes(backend):
    assert backend.info.name == "loop"


def fails(backend):
    raise AssertionError("hidden.bias is [not] learnt\nand much more")


def breaks(backend):
    raise ZeroDivisionError


def test_a_sound_backend(run, checks):
    checks += [("check_one", passes), ("check_two", passes)]
    code, out, err = run("check", "loop")
    assert (code, err) == (0, "")
    assert out == "ok      check_one\nok      check_two\n2 passed, 0 failed: loop on cpu\n"


def test_quickly(run, checks):
    checks += [("check_quick", passes), ("check_two", passes)]
    _, out, _ = run("check", "loop", "--quick")
    assert out == "ok      check_quick\n1 passed, 0 failed: loop on cpu\n"


def test_some_checks(run, checks):
    checks += [("check_one", passes), ("check_two", fails), ("check_three", passes)]
    code, out, _ = run("check", "loop", "--check", "check_three", "--check", "check_one")
    assert code == 0
    assert out == "ok      check_one\nok      check_three\n2 passed, 0 failed: loop on cpu\n"


def test_an_unknown_check_is_refused(refused):
    line = refused("check", "loop", "--check", "check_fowrard")
    assert line.startswith("--check: given 'check_fowrard'; accepted: 'check_any_memory_layout', ")
    assert line.endswith("Did you mean 'check_forward'?")


def test_it_goes_on_after_a_failure_and_says_where_to_start(run, checks):
    checks += [("check_one", fails), ("check_two", passes), ("check_three", breaks)]
    code, out, _ = run("check", "loop", "--device", "cpu")
    assert code == 1
    head, start, *body, then, gap, end = out.splitlines()[3:]
    assert out.splitlines()[:3] == ["FAILED  check_one", "ok      check_two", "FAILED  check_three"]
    assert (head, gap, start) == ("", "", "Start here: check_one")
    assert any(re.search(r"test_check\.py, line \d+, in fails: AssertionError: hidden\.bias is", line) for line in body)
    assert then.startswith("Then check_three: A call raises ZeroDivisionError")
    assert end == "1 passed, 2 failed by 2 causes: loop on cpu"


def test_verbose_shows_the_whole_errors(run, checks):
    checks += [("check_one", fails), ("check_three", breaks)]
    _, out, _ = run("check", "loop", "--verbose")
    assert "Then: check_three" in out
    assert out.count("Traceback (most recent call last)") == 2
    assert "and much more" in out


def test_as_json(run, checks):
    checks += [("check_one", fails), ("check_two", passes)]
    code, out, err = run("check", "loop", "--json")
    found = json.loads(out)
    assert code == 1
    assert (found["backend"], found["device"], found["passed"]) == ("loop", "cpu", ["check_two"])
    assert found["failed"] == {"check_one": "hidden.bias is [not] learnt"}
    assert found["findings"][0]["diagnosis"]["source"]["type"] == "AssertionError"
    assert "1 passed, 1 failed by 1 cause: loop" in err


def test_a_wrong_backend(run, fresh_registry):
    info = entry("wrong", lambda device: wrong)
    wrong = faulty.SlopeInG()
    wrong.info = info
    fresh_registry.register(info)
    code, out, _ = run("check", "wrong", "--quick", "--check", "check_update_signed", "--check", "check_update_split")
    assert code == 1
    _, text = out.split("\n\n", 1)
    for line in (
        "Start here: check_update_signed",
        "  The derivative of the sigmoid has the factor 2 / u0.",
        "  Simplest case: drawn_case(Network(in_=1, width=1, depth=0), Rule(), batch=1, scale=1.0, seed=0)",
        "  Ratio of the change there, got by expected: 5",
        "  Fails too: check_update_split",
        "0 passed, 2 failed by 1 cause: wrong on cpu",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize("name", ["auto", "lop"])
def test_it_wants_the_name_of_a_backend(refused, name):
    assert re.match(rf"NAME: given '{name}'; accepted: 'array_api_strict', .*'loop'", refused("check", name))


def test_a_backend_that_cannot_run(refused, fresh_registry):
    fresh_registry.register(entry("unready", None, "it was left at home"))
    assert refused("check", "unready").startswith("backend='unready' cannot run here: it was left at home.")


def test_a_device_that_the_backend_lacks(refused):
    assert refused("check", "loop", "--device", "cuda") == "--device: given 'cuda'; accepted: a device of loop: cpu."


def test_without_hypothesis_it_says_how_to_install_it(refused, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("edcore.testing.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    assert 'pip install "edcore[testing]"' in refused("check", "loop")


@pytest.mark.slow
def test_the_whole_suite(run):
    code, out, _ = run("check", "numpy")
    names = [name for name, _ in edcore.testing.iter_checks()]
    assert code == 0
    assert out.splitlines() == [*(f"ok      {name}" for name in names), f"{len(names)} passed, 0 failed: numpy on cpu"]
