"""The built site in a browser: what readers see, on a desktop and on a phone, in light and in dark, without a network.

`EDCORE_TEST_SITE` names its folder, which `sphinx-build -b html docs FOLDER` makes.
"""

import contextlib
import functools
import http.server
import os
import threading
from pathlib import Path

import pytest

if "EDCORE_TEST_SITE" not in os.environ:
    pytest.skip("EDCORE_TEST_SITE does not name a built site", allow_module_level=True)
SITE = Path(os.environ["EDCORE_TEST_SITE"])
OURS = [path.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("*.html"))]
SOURCES = [page for page in OURS if page.startswith("_modules/")]  # all of one kind
PAGES = [page for page in OURS if page not in SOURCES[2:] and Path(page).name != "play.html"]

LOOK = """(frame) => {
  const [document, window] = [frame.contentDocument, frame.contentWindow];
  const scrolls = (box) => ["auto", "scroll"].includes(window.getComputedStyle(box).overflowX);
  const wide = (box) => scrolls(box) && box.scrollWidth > box.clientWidth + 1 && !box.closest(".scrolls");
  const beyond = (box) => box.scrollWidth - Math.min(box.clientWidth, window.innerWidth);
  const start = (box) => `${box.tagName} ${box.textContent.trim().slice(0, 60)}`;
  return {
    language: document.documentElement.lang,
    description: document.querySelector("meta[name=description]")?.content,
    wide: [...document.querySelectorAll("article *")].filter(wide).map(start),
    body: Math.max(...[...document.querySelectorAll("html, .content")].map(beyond)),
    unnamed: [...document.querySelectorAll("article img")].filter((image) => !image.alt).map((image) => image.src),
    missing: [...document.images].filter((image) => image.complete && !image.naturalWidth).map((image) => image.src),
  };
}"""

# Four pages at once, each in a frame and without its scripts: in tabs of their own they take three times as long.
LOOK_AT_ALL = f"""async ([pages, width]) => {{
  const look = {LOOK}, looks = {{}}, left = [...pages];
  const next = async (frame) => {{
    for (let page; page = left.pop();) {{
      await new Promise((loaded) => {{ frame.onload = loaded; frame.src = "/" + page; }});
      looks[page] = look(frame);
    }}
  }};
  await Promise.all([1, 2, 3, 4].map(() => {{
    const frame = document.createElement("iframe");
    document.body.append(Object.assign(frame, {{ width, height: 900, sandbox: "allow-same-origin" }}));
    return next(frame);
  }}));
  return looks;
}}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that prints nothing."""

    def log_message(self, *args):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):  # of a frame that goes to its next page
            super().handle()


@pytest.fixture(scope="module")
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def tab(browser, address):
    """A page of a desktop's width, at the front page."""
    with browser.new_context(viewport={"width": 1280, "height": 900}, base_url=address) as context:
        tab = context.new_page()
        tab.set_default_timeout(10_000)
        yield tab


@pytest.fixture(scope="module")
def looks(browser, address):
    """What each page looks like on a desktop and on a phone, and which addresses beside the site's it asked for."""
    asked = set()
    with browser.new_context(base_url=address) as context:
        tab = context.new_page()
        tab.on("request", lambda request: asked.add(request.url))
        tab.goto("_static/site.css")
        looks = {name: tab.evaluate(LOOK_AT_ALL, [PAGES, width]) for name, width in (("desktop", 1280), ("phone", 390))}
    return {**looks, "asked": asked}


def having(looks, name):
    """Return the pages that have one of these, with what they have."""
    return {page: look[name] for page, look in looks.items() if look[name]}


def test_the_site_is_whole():
    assert len(PAGES) > 100
    assert {"index.html", "gallery.html", "ja/index.html", "tutorial/1-xor-by-hand.html"} <= {*PAGES}
    assert {"play.html", "ja/play.html"} <= {*OURS}


def test_no_box_scrolls_sideways_on_a_desktop(looks):
    assert not having(looks["desktop"], "wide")
    assert not having(looks["desktop"], "body")


def test_no_page_scrolls_sideways_on_a_phone(looks):
    assert not having(looks["phone"], "body")


def test_pictures_are_there_and_described(looks):
    assert not having(looks["desktop"], "unnamed")
    assert not having(looks["desktop"], "missing")


def test_pages_name_their_language(looks):
    named = {page: look["language"] for page, look in looks["desktop"].items()}
    assert named == {page: "ja" if page.startswith("ja/") else "en" for page in named}


def test_pages_have_a_description(looks):
    assert not {page for page, look in looks["desktop"].items() if len(look["description"] or "") < 12}
    assert "ED" in looks["desktop"]["index.html"]["description"]
    assert "排他的論理和" in looks["desktop"]["ja/tutorial/1-xor-by-hand.html"]["description"]


def test_pages_ask_for_nothing_outside(looks, address):
    assert not {url for url in looks["asked"] if not url.startswith((address, "data:"))}


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("学習率", "ja/method.html"),
        ("興奮性", "ja/index.html"),
        ("重み", "ja/method.html"),
        ("層", "ja/method.html"),
        ("学習率 興奮性", "ja/tutorial/1-xor-by-hand.html"),
        ("inhibitory cells", "explanation/method.html"),
        ("sweeping seeds", "how-to/sweep.html"),  # by their stems
    ],
)
def test_search_finds(tab, words, page):
    tab.goto(f"search.html?q={words}")
    tab.wait_for_selector("#search-results .search-summary:has-text('found')")
    found = tab.eval_on_selector_all("ul.search li a", "links => links.map((link) => link.getAttribute('href'))")
    assert page in {address.partition("#")[0].partition("?")[0] for address in found}


def test_search_finds_no_page_that_has_not_the_word(tab):
    tab.goto("search.html?q=学習飛行")
    tab.wait_for_selector("#search-results .search-summary:has-text('did not match')")


def test_formulas_are_set(tab):
    tab.goto("explanation/method.html")
    tab.wait_for_selector("div.math mjx-container")
    assert not tab.query_selector_all("mjx-merror")
    tab.set_viewport_size({"width": 390, "height": 844})
    assert tab.evaluate("document.querySelector('.content').scrollWidth") == 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_suit_the_ground(tab, scheme):
    tab.emulate_media(color_scheme=scheme)
    tab.goto("explanation/method.html")
    shown = [image.get_attribute("src") for image in tab.query_selector_all("article img") if image.is_visible()]
    assert shown
    assert all(f"-{scheme}." in source for source in shown)


def test_a_picture_in_dots_leads_to_its_file(tab):
    """On a phone a page shows it too small to read."""
    tab.goto("results/mnist.html")
    tab.locator("article img").click()
    assert tab.url.endswith("/_images/mnist.png")
    tab.goto("gallery.html")
    tab.locator(".sd-card:has(img)").first.click()  # a card leads to the code
    assert "/how-to/plots.html#" in tab.url


def test_prompts_are_not_copied(tab):
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.goto("reference/generated/edcore.plots.decision_boundary.html")
    tab.locator("button.copybtn").first.click()
    copied = tab.evaluate("navigator.clipboard.readText()")
    assert "import" in copied
    assert ">>>" not in copied


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["index", "explanation/method", "gallery", "ja/index", "results/mnist"])
def test_it_is_legible(tab, page, scheme):
    """By axe's rules on contrast, names and languages."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab.emulate_media(color_scheme=scheme)
    tab.goto(f"{page}.html")
    rules = ["color-contrast", "image-alt", "link-name", "button-name", "html-has-lang", "document-title"]
    options = {"runOnly": {"type": "rule", "values": rules}}
    found = axe.run(tab, context="#furo-main-content", options=options).response["violations"]
    assert not [(violation["id"], node["html"][:200]) for violation in found for node in violation["nodes"]]
