"""The player of an animation in a real browser: without a network, on a phone, with the keyboard."""

import pytest

import edcore

pytest.importorskip("matplotlib")

from edcore import plots


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("player") / "broadcast.html"
    ed = edcore.ED(in_=2, hidden_width=1, hidden_depth=0, rule="split", seed=0)
    plots.animate("broadcast", ed, [1, 0], 1, fps=50).save(path, dpi=40)
    return path.as_uri()


@pytest.fixture
def opened(browser, file):
    """Open the page without a network; nothing may be loaded or logged."""
    contexts, logged = [], []

    def page(**options):
        contexts.append(browser.new_context(offline=True, viewport={"width": 390, "height": 800}, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: logged.append(message.text))
        page.on("pageerror", lambda error: logged.append(str(error)))
        page.on("requestfailed", lambda request: logged.append(request.url))
        page.goto(file)
        return page

    yield page
    for context in contexts:
        context.close()
    assert logged == []


def test_it_plays_until_it_is_stopped(opened):
    page = opened()
    page.wait_for_function("document.querySelector('input').value === '4'")  # the last of 5 frames
    page.get_by_role("button", name="Pause").click()
    assert page.get_by_role("button", name="Play").is_visible()
    page.get_by_role("button", name="Next frame").click()
    here = page.locator("span").inner_text()
    page.wait_for_timeout(100)  # five frames long
    assert page.locator("span").inner_text() == here


def test_the_keyboard_steps_and_a_phone_shows_all_of_it(opened):
    page = opened(reduced_motion="reduce")
    assert page.locator("span").inner_text() == "1 / 5"  # it does not play by itself
    first = page.locator("img").get_attribute("src")
    page.get_by_label("Frame", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("span").inner_text() == "2 / 5"
    assert page.locator("img").get_attribute("src") != first
    page.get_by_role("button", name="Previous frame").press("Enter")
    page.get_by_role("button", name="Previous frame").press("Enter")
    assert page.locator("span").inner_text() == "5 / 5"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("document.querySelector('img').naturalWidth") > 390
