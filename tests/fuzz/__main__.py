"""Run libFuzzer on a target: see the package's docstring."""

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

sys.path[0] = str(Path(__file__).parents[1])

with atheris.instrument_imports(include=["edcore", "fuzz", "gzip", "tomllib"]):
    from fuzz.targets import TARGETS, WORDS, seeds

LIMITS = ("-timeout=5", "-rss_limit_mb=2048", "-max_len=4096", "-len_control=0", "-print_final_stats=1")
FORBIDDEN = {"ctypes.dlopen", "os.exec", "os.posix_spawn", "os.system", "pickle.find_class", "subprocess.Popen"}


class ForbiddenError(BaseException):
    """An input has started a program, or reached the network. No `except Exception` hides it."""


def main():
    """Fuzz."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python tests/fuzz TARGET [OPTION…] [FOLDER…], with one of: {', '.join(TARGETS)}")
    name = sys.argv[1]
    shared = Path("/dev/shm")  # in memory
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as place:
        folder, corpus, found, words = (Path(place, part) for part in ("input", "seeds", "found", "words"))
        for one in (folder, corpus, found):
            one.mkdir()
        for number, seed in enumerate(seeds(name)):
            (corpus / str(number)).write_bytes(seed)
        words.write_text("#\n" + "".join(f'"{_escaped(word)}"\n' for word in WORDS.get(name, ())))
        given = [argument for argument in sys.argv[2:] if not argument.startswith("-")]
        folders = given if given and Path(given[0]).is_file() else [*given, str(found), str(corpus)]
        options = [argument for argument in sys.argv[2:] if argument.startswith("-")]
        target = TARGETS[name]
        for seed in seeds(name):  # late imports happen now, before they are forbidden
            target(seed, folder)
        warnings.simplefilter("error")
        sys.addaudithook(_audit)

        def one(data):
            try:
                target(data, folder)
            except BaseException:  # libFuzzer writes it as well, unless its alarm ends the program before
                Path(f"crash-{name}").write_bytes(data)
                raise

        atheris.Setup([sys.argv[0], *LIMITS, f"-dict={words}", *options, *folders], one)
        atheris.Fuzz()


def _audit(event, arguments):
    if event in FORBIDDEN or event.startswith("socket."):
        raise ForbiddenError(event, arguments)


def _escaped(word):
    return "".join(chr(byte) if 32 < byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in word.encode())


main()
