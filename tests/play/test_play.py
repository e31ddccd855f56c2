"""The page to play with as a file, without a browser, and the command that serves it or writes it."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from importlib import resources

import pytest

from edcore.errors import InputError
from edcore.play import LANGUAGES, html

FILES = {name: resources.files("edcore.play").joinpath(name).read_text(encoding="utf-8") for name in (
    "page.html", "style.css", "words.json", "engine.js", "draw.js", "view.js",
)}  # fmt: skip
WORDS = json.loads(FILES["words.json"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_whole_and_loads_nothing(language):
    page = html(language)
    assert page.startswith(f'<!doctype html>\n<html lang="{language}">')
    assert f"<title>{WORDS[language]['title']}</title>" in page
    assert "default-src 'none'" in page
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(|<(img|iframe|object|embed|script [^>]*src)|fetch\(", page)
    assert re.findall(r'(?:href|src)="([^"]*)"', page) == ["data:,"]
    assert page.count("<script>") == page.count("</script>") == 2
    assert len(page.encode()) < 150_000
    assert "$" not in re.sub(r"\$\{", "", page)  # no placeholder is left


def test_another_language_is_refused():
    with pytest.raises(InputError, match="language: given 'de'; accepted: 'en', 'ja'"):
        html("de")


def test_both_languages_have_every_word_and_every_word_is_used():
    assert WORDS.keys() == set(LANGUAGES)
    assert WORDS["en"].keys() == WORDS["ja"].keys()
    named = set(re.findall(r'data-(?:word|label)="(\w+)"', FILES["page.html"]))
    called = set(re.findall(r'"(\w+)"', FILES["view.js"] + FILES["draw.js"]))
    built = {f"picture_{kind}" for kind in ("boundary", "table", "images")}
    assert WORDS["en"].keys() == {"title", "description"} | named | built | (called & WORDS["en"].keys())
    assert named <= WORDS["en"].keys()
    for key, english in WORDS["en"].items():
        japanese = WORDS["ja"][key]
        assert english.strip()
        assert japanese.strip()
        assert sorted(set(re.findall(r"\{(\w+)\}", english))) == sorted(set(re.findall(r"\{(\w+)\}", japanese)))
    for word in re.findall(r'word\("(\w+)"', FILES["view.js"]):
        assert word in WORDS["en"]


def luminance(colour):
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_texts_stand_out_from_what_is_behind_them(scheme):
    roots = re.findall(r":root \{(.*?)\}", FILES["style.css"], re.DOTALL)
    assert len(roots) == 2
    colour = dict(re.findall(r"--(\w+): (#\w{6})", roots[scheme == "dark"]))
    behind = {
        **dict.fromkeys(("ink", "quiet", "error", "good", "warn", "positive", "negative"), ("card", "paper")),
        "card": ("error", "ink"),
        "on0": ("class0",),
        "on1": ("class1",),
    }
    ratios = {
        (text, ground): (max(pair) + 0.05) / (min(pair) + 0.05)
        for text, grounds in behind.items()
        for ground in grounds
        for pair in [(luminance(colour[text]), luminance(colour[ground]))]
    }
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}  # WCAG AA


@pytest.mark.usefixtures("in_a_folder_of_its_own")
def test_out_writes_the_page_and_overwrites_nothing_without_force(run, tmp_path):
    file = tmp_path / "play.html"
    code, out, err = run("play", "--out", "play.html", "--language", "ja")
    assert (code, err) == (0, "")
    assert "play.html" in out
    assert file.read_text(encoding="utf-8") == html("ja")
    code, out, err = run("play", "--out", "play.html")
    assert (code, out) == (2, "")
    given = "edcore: --out: given 'play.html', which exists; "
    assert err == f"{given}accepted: the name of a new file. --force overwrites it.\n"
    assert file.read_text(encoding="utf-8") == html("ja")
    assert run("play", "--out", "play.html", "--force")[0] == 0
    assert file.read_text(encoding="utf-8") == html("en")
    assert [path.name for path in tmp_path.iterdir()] == ["play.html"]


@pytest.mark.usefixtures("in_a_folder_of_its_own")
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--language", "de"], "--language: given 'de'; accepted: 'en', 'ja'."),
        (["--out", "play.txt"], "--out: given 'play.txt'; accepted: a file whose name ends in .html."),
        (["--out", "no/play.html"], "--out: given 'no/play.html'"),
        (["--port", "0"], "--port: given 0; accepted: a whole number from 1 to 65,535."),
        (["--port", "65536"], "--port: given 65536"),
    ],
)
def test_bad_options_are_refused_in_one_line(run, tmp_path, arguments, named):
    code, out, err = run("play", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"edcore: {named}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(run, taken):
    code, out, err = run("play", "--no-browser", "--port", str(taken))
    assert (code, out) == (2, "")
    assert f"--port: {taken} cannot be served" in err
    assert "leave --port out" in err


def test_the_usual_port_is_left_for_a_free_one_if_it_is_taken(monkeypatch, taken):
    from edcore.play import server

    monkeypatch.setattr(server, "PORT", taken)
    with server.listen("page", None) as listening:
        assert listening.server_address[0] == "127.0.0.1"
        assert listening.server_address[1] != taken


def test_the_command_serves_the_page_on_this_machine_until_ctrl_c():
    command = [sys.executable, "-m", "edcore", "play", "--no-browser", "--language", "ja"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
            with urllib.request.urlopen(address) as answer:
                assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
                assert answer.read().decode() == html("ja")
            with pytest.raises(urllib.error.HTTPError, match="404") as error:
                urllib.request.urlopen(f"{address}etc/passwd")
            error.value.close()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (130, "", "")
