import json
import subprocess
import sys

import pytest

import edcore

CODE = """
import json, sys
before = set(sys.modules)
import edcore
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def loaded(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout))


def test_import_loads_nothing_heavier_than_numpy_and_array_api_compat():
    packages = loaded(CODE) - set(sys.stdlib_module_names)
    assert {package for package in packages if not package.startswith("_")} <= {"edcore", "numpy", "array_api_compat"}
    assert packages >= {"edcore", "numpy", "array_api_compat"}


def test_a_network_on_numpy_loads_no_array_library_that_was_not_asked_for():
    packages = loaded(
        CODE.replace("import edcore\n", "import edcore; edcore.ED(2, seed=0, backend='numpy')([[0, 1]])\n")
    )
    assert packages.isdisjoint({"torch", "jax", "cupy", "array_api_strict", "sklearn", "scipy", "numba", "typer"})


def test_the_estimators_load_scikit_learn_when_they_are_first_asked_for():
    assert "sklearn" not in loaded(CODE.replace("import edcore\n", "import edcore; dir(edcore), edcore.__all__\n"))
    names = ("EDClassifier", "EDRegressor")
    for name in names:
        assert "sklearn" in loaded(CODE.replace("import edcore\n", f"import edcore; edcore.{name}\n"))
        assert getattr(edcore, name).__name__ == name
    assert set(names) <= set(dir(edcore)) & set(edcore.__all__)
    with pytest.raises(AttributeError, match="module 'edcore' has no attribute 'EDClusterer'"):
        edcore.EDClusterer  # noqa: B018


def test_the_pytest_plugin_loads_neither_hypothesis_nor_an_array_library():
    packages = loaded(CODE.replace("import edcore\n", "import edcore.testing.plugin\n"))
    assert packages.isdisjoint({"hypothesis", "torch", "jax", "pytest"})


def test_jax_without_float64_says_how_to_switch_it_on():
    pytest.importorskip("jax")
    code = """
import os; os.environ["JAX_ENABLE_X64"] = "0"
import edcore, json
try:
    edcore.ED(2, dtype="float64", backend="jax")
except edcore.errors.BackendUnavailableError as error:
    by_name = str(error)
import jax.numpy as jnp
try:
    edcore.ED(2, dtype="float64")(jnp.zeros((1, 2)))
except edcore.errors.InputError as error:
    by_x = str(error)
print(json.dumps([by_name, by_x, edcore.ED(2, backend="jax").backend]))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    by_name, by_x, backend = json.loads(result.stdout)
    switch = (
        "JAX has float64 switched off; jax.config.update('jax_enable_x64', True) before its first use switches it on."
    )
    assert by_name == f"backend='jax' cannot run this network: {switch} Nothing else was tried."
    assert by_x == f"dtype: given 'float64'; accepted: what the device of x has. {switch}"
    assert backend == "jax"
