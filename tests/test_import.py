import json
import subprocess
import sys

import pytest

import edcore

NAMES = {
    *("ED", "EDClassifier", "EDRegressor", "EDCoreError", "Initial", "Network", "PRESETS", "Rule", "__version__"),
    *("EpochRecord", "History", "compare", "list_backends", "use_backend"),
}
MODULES = {
    *("comparison", "contract", "core", "datasets", "diagnostics", "dispatch", "distributed", "errors", "estimators"),
    *("io", "kaneko", "parallel", "play", "plots", "streaming", "sweep", "testing", "training"),
}
CODE = """
import json, sys
before = set(sys.modules)
import edcore
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def run(code, *options):
    result = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def loaded(code, *options):
    return set(run(code, *options))


def test_dir_shows_the_public_names_and_nothing_else():
    assert set(dir(edcore)) == set(edcore.__all__) == NAMES | MODULES
    code = "import json, edcore; edcore.ED(2, seed=0, backend='numpy')([[0, 1]]); print(json.dumps(dir(edcore)))"
    assert set(run(code)) == NAMES | MODULES  # also after use has loaded inner modules


def test_every_public_module_works_right_after_import_edcore():
    code = f"""
import json, sys
found = {{}}
for name in {sorted(MODULES)}:
    for module in [module for module in sys.modules if module.split(".")[0] == "edcore"]:
        del sys.modules[module]
    import edcore
    module = getattr(edcore, name)
    for public in getattr(module, "__all__", ()):
        getattr(module, public)
    found[name] = module.__name__
print(json.dumps(found))
"""
    assert run(code) == {name: f"edcore.{name}" for name in MODULES}


def test_public_modules_are_loaded_at_first_use():
    code = CODE.replace("import edcore\n", "import edcore; dir(edcore)\n").replace('.partition(".")[0]', "")
    assert not loaded(code) & {
        f"edcore.{name}" for name in ("comparison", "estimators", "plots", "streaming", "sweep", "kaneko")
    }


def test_import_loads_nothing_heavier_than_numpy_and_array_api_compat_and_warns_of_nothing():
    packages = loaded(CODE, "-W", "error") - set(sys.stdlib_module_names)
    # numpy.f2py, which array-api-compat loads with the rest of NumPy, takes charset_normalizer where it is installed.
    theirs = loaded(CODE.replace("import edcore\n", "import array_api_compat.numpy\n"))
    assert packages - theirs == {"edcore"}
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
    by_name, by_x, backend = run(code)
    switch = "jax.config.update('jax_enable_x64', True)"
    assert by_name.startswith("backend='jax' ")
    assert by_x.startswith("dtype: given 'float64'; accepted: ")
    assert switch in by_name
    assert switch in by_x
    assert backend == "jax"
