import json
import os
import shutil
import sys
from pathlib import Path

import pytest

# Before JAX is first imported. The suite checks both precisions.
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # or it takes most of a GPU's memory from the others

from edcore.contract import compilation
from edcore.core import activations
from edcore.dispatch import calibration, registry

HERE = Path(__file__).parent
# Under the emulator, NVIDIA's driver is one that runs kernels on the CPU.
pytest_plugins = ["cuda_emulator.plugin"] if os.environ.get("CUDA_EMULATOR") == "1" else []
# Programs over PyTorch and Zarr, which need not be there; and what takes NVIDIA's driver away, unless it shall.
collect_ignore = ["helpers/ranks.py", "benchmarks/scaling.py", "benchmarks/streaming.py", "cuda_emulator/plugin.py"]


def pytest_configure(config):
    config.addinivalue_line("markers", "emulated: runs on the emulator of a GPU, with CUDA_EMULATOR=1")


@pytest.fixture(autouse=True)
def no_calibration_of_the_user(monkeypatch, tmp_path):
    """Read and write calibrations in a folder of the test: those of this machine's user change what ``auto`` takes."""
    for name in ("XDG_CONFIG_HOME", "WIN_PD_OVERRIDE_LOCAL_APPDATA"):  # platformdirs reads them
        monkeypatch.setenv(name, str(tmp_path / "config"))
    assert calibration.user_file("cpu").is_relative_to(tmp_path)


@pytest.fixture(autouse=True, scope="session")
def nothing_is_said_of_compilation():
    """Let no command print that a backend compiles: which test does so first depends on the caches."""
    compilation._said.update(("jax", "numba", "numba for CUDA"))


@pytest.fixture
def quick_turns():
    """Let threads take turns after microseconds, so that each comes to each place between the others' lines."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def fresh_registry(monkeypatch):
    """Return the registry for the test to change, with EDCORE_BACKEND unset; restore both afterwards."""
    monkeypatch.delenv("EDCORE_BACKEND", raising=False)
    registry.refresh()
    yield registry
    registry.refresh()


@pytest.fixture
def no_activation_stays():
    """Forget the activations that a test has registered, as other tests in its process have others of their names."""
    before = {*activations.FUNCTIONS}
    yield
    for name in activations.FUNCTIONS.keys() - before:
        del activations.FUNCTIONS[name], activations._VALUES[name]


@pytest.fixture
def plugin_example(monkeypatch, fresh_registry):
    """Put a third party's backend on the path, where the registry finds it as if it were installed."""
    monkeypatch.syspath_prepend(HERE / "plugin_example")
    registry.refresh()
    yield
    for name in [name for name in sys.modules if name.startswith("edcore_example")]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def mnist_dir():
    """Return the folder with the real MNIST files, in torchvision's layout."""
    folder = Path(os.environ.get("EDCORE_TEST_DATA", HERE.parent.parent / "shared" / "data"))
    if not (folder / "MNIST" / "raw").is_dir():
        pytest.skip(f"no MNIST files under {folder}; EDCORE_TEST_DATA can name their folder")
    return folder


@pytest.fixture
def in_a_folder_of_its_own(monkeypatch, tmp_path):
    """Start in an empty folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(command_line):
    """Do as `command_line` does, by a shorter name."""
    return command_line


@pytest.fixture
def results(run):
    """Run a command with --json; return its results."""

    def results(*arguments):
        code, out, err = run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    return results


@pytest.fixture
def refused(run):
    """Run the command line on something that it must refuse with one line; return that line."""

    def refused(*arguments):
        code, _, err = run(*arguments)
        assert (code, err[:8], err.count("\n")) == (2, "edcore: ", 1)
        return err.removeprefix("edcore: ").rstrip("\n")

    return refused


@pytest.fixture
def command_line(capsys, monkeypatch):
    """Run the command line in this process; return its exit code, stdout and stderr."""
    from edcore.cli import app as cli

    for name in ("EDCORE_BACKEND", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        return end.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def browser():
    """Start the Chromium that is there, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: extra 'browser'")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("EDCORE_TEST_BROWSER") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium is installed; EDCORE_TEST_BROWSER can name one")
    sandbox = [] if getattr(os, "geteuid", lambda: 1)() else ["--no-sandbox"]  # root has none
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=sandbox)
        yield chromium
        chromium.close()
