"""The page to play with, in a real Chromium: arithmetic, no network, the keyboard, a phone, languages, contrast."""

import re
from pathlib import Path

import numpy as np
import pytest

import edcore
from edcore import Network, Rule, datasets
from edcore.diagnostics import gradient
from edcore.play import html

ROOT = Path(__file__).parents[2]
CONTROLS = ["language", "play", "step", "again", "fresh", "seed", "task", "pace", "layers", "width"]
OWN = ["rule", "ed-rate", "bp-rate"]
SETUPS = [f"setup{number}" for number in range(1, 6)]
WITHIN = 1e-6
"""The largest difference of a weight, absolute and relative to the layer's largest."""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("play") / "play.html"
    path.write_text(html(), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def open_page(browser, file):
    """Open the page in a context of its own, without a network; at the end, nothing may have been loaded or logged."""
    requests, logged = [], []

    def opened(**options):
        context = browser.new_context(**({"reduced_motion": "reduce"} | options))
        context.set_offline(True)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: logged.append(message.text))
        page.on("pageerror", lambda error: logged.append(str(error)))
        page.goto(file)
        return page

    yield opened
    assert set(requests) <= {file}
    assert logged == []


@pytest.fixture(scope="module")
def one_page(open_page):
    return open_page()


@pytest.fixture
def page(one_page, file):
    """Return the page, loaded anew."""
    one_page.goto(file)
    return one_page


def until(page, condition):
    """Wait for a condition. Playwright's own function for this is forbidden by the page, as its text is evaluated."""
    page.evaluate(f"""() => new Promise((resolve, reject) => {{
      const end = performance.now() + 20000;
      const look = () => {condition} ? resolve() : performance.now() > end ? reject("never") : setTimeout(look, 5);
      look();
    }})""")


def as_layers(weights, depth):
    """Return edcore's weights as the engine has them: a flat list of weights and of biases for each layer."""
    hidden = [(weights["hidden.weight"][0, d], weights["hidden.bias"][0, d]) for d in range(depth)]
    first, last = ((weights[f"{name}.weight"][0], weights[f"{name}.bias"][0]) for name in ("input", "output"))
    return [{"weight": w.ravel().tolist(), "bias": b.ravel().tolist()} for w, b in (first, *hidden, last)]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for part in ("weight", "bias"):
            largest = max(map(abs, other[part]))
            assert largest > 0
            assert np.abs(np.subtract(one[part], other[part])).max() <= WITHIN * min(1, largest)


LEARN = """
([shape, method, options, start, steps]) => {
  const net = Engine.network(shape);
  net.layers.forEach((layer, n) => { layer.weight.set(start[n].weight); layer.bias.set(start[n].bias); });
  for (const [x, y] of steps) Engine[method](net, options, x, y);
  return net.layers.map(({ weight, bias }) => ({ weight: [...weight], bias: [...bias] }));
}
"""


def engine_learns(page, network, method, options, start, steps):
    shape = {
        "inputs": network.in_,
        "width": network.width,
        "depth": network.depth,
        "nBias": network.n_bias,
        "bias": network.bias,
        "u0": network.u0,
        "inhibitoryOutput": network.inhibitory_output,
    }
    steps = [(x.tolist(), y.ravel().tolist()) for x, y in steps]
    return page.evaluate(LEARN, [shape, method, options, as_layers(start, network.depth), steps])


def batches(data, size, steps=100, seed=5):
    random = np.random.default_rng(seed)
    rows = [random.choice(len(data.x_train), size, replace=False) for _ in range(steps)]
    return [(data.x_train[row], data.y_train[row]) for row in rows]


@pytest.mark.parametrize(
    ("task", "rule", "depth", "batch"),
    [
        ("xor", "signed", 0, 1),
        ("xor", "signed", 2, 4),
        ("xor", "split", 0, 4),
        ("xor", "split", 2, 1),
        ("parity3", "signed", 2, 1),
        ("parity3", "split", 1, 4),
    ],
)
def test_after_100_steps_the_weights_are_the_oracle_s(one_page, task, rule, depth, batch):
    data = datasets.load(task, dtype="float64")
    network = Network(
        data.features,
        4,
        depth,
        n_bias=2 if rule == "split" else 1,
        dtype="float64",
        bias=0.8,
        inhibitory_output=depth == 2,
    )
    ed = edcore.ED.from_network(network, Rule(rule, alpha=0.3, alpha_output=0.7), seed=depth, backend="loop")
    start, steps = ed.weights, batches(data, batch)
    for x, y in steps:
        ed.update(y - ed(x))
    options = {"rule": rule, "rates": [0.3, 0.7]}
    found = engine_learns(one_page, network, "learnByED", options, start, steps)
    assert_same(found, as_layers(ed.weights, depth))
    assert not np.allclose(ed.weights["input.weight"], start["input.weight"], atol=1e-3)


@pytest.mark.parametrize(("task", "depth", "batch"), [("xor", 2, 1), ("parity3", 0, 4)])
def test_after_100_steps_of_back_propagation_the_weights_are_those_of_the_diagnostics(one_page, task, depth, batch):
    data = datasets.load(task, dtype="float64")
    network = Network(data.features, 4, depth, dtype="float64", inhibitory_output=depth == 2)
    start = edcore.ED.from_network(network, Rule(), seed=1).weights
    weights, rates = {key: value / 4 for key, value in start.items()}, (0.1, 0.2)
    before, steps = {key: value.copy() for key, value in weights.items()}, batches(data, batch)
    for x, y in steps:
        states = gradient.forward(network, weights, x)
        error = y.reshape(-1, 1) - gradient.outputs(network, states)
        for key, step in gradient.descent(network, weights, states, error).items():
            weights[key] = weights[key] + rates[key.startswith("output")] * step
    found = engine_learns(one_page, network, "learnByBackpropagation", {"rates": rates}, before, steps)
    if network.inhibitory_output:  # its − cell learns nothing, in both
        assert found[-1]["bias"][1] == before["output.bias"][0, 0, 1]
    assert_same(found, as_layers(weights, depth))


def test_back_propagation_goes_down_the_steepest_slope_by_finite_differences(page):
    differences = page.evaluate("""
() => {
  const net = Engine.startBackpropagation(Engine.network({ inputs: 2, width: 3, depth: 1 }), 4);
  const [x, y] = [[[0, 1], [1, 1], [1, 0]], [1, 0, 1]];
  const loss = () => x.reduce((sum, one, n) => sum + (y[n] - Engine.output(net, one)) ** 2 / 2 / x.length, 0);
  const h = 1e-5;
  const slopes = net.layers.map((layer) => ["weight", "bias"].map((part) => [...layer[part]].map((value, n) => {
    layer[part][n] = value + h;
    const above = loss();
    layer[part][n] = value - h;
    const below = loss();
    layer[part][n] = value;
    return (above - below) / (2 * h);
  })));
  const { changes } = Engine.learnByBackpropagation(net, { rates: [1, 1] }, x, y);
  return changes.map((change, n) => ["weight", "bias"].map((part, p) =>
    [...change[part]].map((value, m) => [value, -slopes[n][p][m]]))).flat(2);
}
""")
    found, expected = np.transpose(differences)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("task", "rule", "steps"), [("xor", "signed", 100), ("parity", "split", 96), ("digits", "", 288)]
)
def test_the_page_s_program_in_python_has_the_page_s_weights(page, task, rule, steps):
    page.select_option("#task", task)
    if rule:
        page.select_option("#rule", rule)
    page.evaluate("(steps) => { for (let n = 0; n < steps; n++) takeStep(); write(); }", steps)
    found = page.evaluate("run.nets.ed.layers.map(({weight, bias}) => ({weight: [...weight], bias: [...bias]}))")
    names = {"print": lambda value: None}
    exec(page.text_content("#python"), names)  # what the page shows, which is in this repository
    ed = names["ed"]
    assert f"epochs={steps // len(names['x'])}," in page.text_content("#python")
    assert_same(found, as_layers(ed.weights, ed.network.depth))
    assert page.evaluate("hiddenLayers()") == ed.network.hidden_layers


RUN = """
([chosen, steps]) => {
  Object.assign(state, chosen);
  restart();
  for (let n = 0; n < steps; n++) takeStep();
  return SIDES.map((side) => [word(...(message(side) ?? ["ready"])), run.seen[side].right]);
}
"""


def test_the_how_to_page_has_the_figures_of_the_page(page):
    text = " ".join((ROOT / "docs" / "how-to" / "play.md").read_text(encoding="utf-8").split())

    def learnt(message):
        return re.match(r"Learnt after ([\d,]+) steps", message)[1]

    assert "3 hidden layers of 4 + 4 cells, seed 1106, learning rates 0.4 (ED) and 0.1 (back-propagation)" in text
    assert page.evaluate("[hiddenLayers(), state.seed, state.rates]") == [
        "3 hidden layers of 4 + 4 cells (depth 2)",
        1106,
        {"ed": 0.4, "bp": 0.1},
    ]
    (ed, _), (bp, _) = page.evaluate(RUN, [{}, 400])
    assert f"ED has learnt it after {learnt(ed)} steps, back-propagation has learnt it after {learnt(bp)} steps" in text
    (split, _), _ = page.evaluate(RUN, [{"rule": "split"}, 400])
    assert f"ED with the split rule has learnt XOR after {learnt(split)} steps" in text
    rates = {"rule": "signed", "rates": {"ed": 0.8, "bp": 0.8}}
    (ed, _), (bp, _) = page.evaluate(RUN, [rates, 4000])
    assert f"ED has then learnt it after {learnt(ed)} steps" in text
    assert "a layer stay at 0 or 1" in bp
    assert "a layer stay at 0 or 1" in text
    parity = {"task": "parity", "rates": {"ed": 0.4, "bp": 0.1}}
    assert all("Stuck" in found for found, _ in page.evaluate(RUN, [{**parity, "width": 1}, 6000]))
    (ed, right), _ = page.evaluate(RUN, [{**parity, "width": 4}, 6000])
    assert "Stuck" in ed
    assert f"cells ED is stuck at {right} of 8" in text
    (ed, _), _ = page.evaluate(RUN, [{**parity, "width": 8}, 200])
    assert f"it has learnt the parity after {learnt(ed)} steps" in text
    (ed, _), (bp, _) = page.evaluate(RUN, [{"task": "digits", "width": 4}, 1400])
    assert bp == f"Learnt after {learnt(bp)} steps: 72 of 72 test images right."
    assert f"after {learnt(bp)} steps its network is right on 72 of 72 test images" in text
    assert ed == f"Learnt after {learnt(ed)} steps: 71 of 72 test images right."
    assert f"ED takes {learnt(ed)} steps, for 71 of 72" in text
    page.evaluate(RUN, [{"task": "xor", "layers": 6}, 1])
    errors = page.evaluate(
        "SIDES.map((side) => run.last[side].signals.map((signal) => meanSize(signal[0]).toFixed(2)))"
    )
    assert errors[0] == ["0.60"] * 7
    assert "each of the seven layers gets the error +0.60" in text
    assert f"a mean size of {errors[1][0]}, of an error of {errors[1][-1]} at the output" in text


@pytest.mark.parametrize(("rule", "kept"), [("split", True), ("signed", False)])
def test_the_split_rule_keeps_the_colour_of_every_line_and_no_weight_shrinks(page, rule, kept):
    before, after = page.evaluate(
        """(rule) => {
          state.rule = rule;
          restart();
          const weights = () => run.nets.ed.layers.flatMap(({ weight }) => [...weight]);
          const before = weights();
          for (let n = 0; n < 200; n++) takeStep();
          return [before, weights()];
        }""",
        rule,
    )
    before, after = np.array(before), np.array(after)
    assert (np.sign(before) == np.sign(after)).all() == kept
    assert (np.abs(after) >= np.abs(before)).all() == kept


def focused(page):
    return page.evaluate("document.activeElement.id || document.activeElement.tagName")


def tab_to(page, control):
    for _ in range(30):
        page.keyboard.press("Tab")
        if focused(page) == control:
            return
    raise AssertionError(f"the Tab key does not reach {control}")


def test_every_control_is_reached_by_the_tab_key_and_none_is_a_trap(page):
    visited = []
    while "BODY" not in visited and len(visited) < 40:
        page.keyboard.press("Tab")
        visited.append(focused(page))
        if visited[-1] != "BODY":
            style = page.evaluate(
                "(({ outlineStyle, outlineWidth }) => outlineStyle + outlineWidth)"
                "(getComputedStyle(document.activeElement))"
            )
            assert style == "solid3px"
    assert visited == [*CONTROLS, *OWN, *SETUPS, "PRE", "BODY"]


def test_the_keyboard_alone_plays_steps_and_changes_what_is_chosen(page):
    def count():
        return int(re.search(r"Step ([\d,]+)", page.text_content("#count"))[1].replace(",", ""))

    tab_to(page, "pace")
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    assert page.input_value("#pace") == "3"
    tab_to(page, "play")
    page.keyboard.press("Enter")
    until(page, "run.step > 20")
    assert page.text_content("#play") == "Pause"
    page.keyboard.press("Space")
    assert page.text_content("#play") == "Play"
    until(page, "!request")
    stopped = count()
    assert stopped == page.evaluate("run.step") > 20
    tab_to(page, "step")
    page.keyboard.press("Enter")
    until(page, "!request")
    assert count() == stopped + 1
    tab_to(page, "rule")
    page.keyboard.press("ArrowDown")
    until(page, "!request")
    assert (page.input_value("#rule"), count()) == ("split", 0)
    tab_to(page, "width")
    page.keyboard.press("ArrowRight")
    tab_to(page, "layers")
    page.keyboard.press("ArrowLeft")
    tab_to(page, "ed-rate")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("hiddenLayers()") == Network(2, 5, 1).hidden_layers
    assert page.evaluate("state.rates") == {"ed": 0.8, "bp": 0.1}
    seed = page.evaluate("state.seed")
    tab_to(page, "fresh")
    page.keyboard.press("Enter")
    assert page.input_value("#seed") == str(seed + 1)
    for wrong in ("", "-1", "4294967296"):
        page.fill("#seed", wrong)
        page.keyboard.press("Tab")
        assert page.input_value("#seed") == str(seed + 1)


def test_an_experiment_is_set_up_by_its_button(page):
    opening = page.evaluate("state")
    page.select_option("#task", "moons")
    page.select_option("#language", "ja")
    for setup in SETUPS:
        page.click(f"#{setup}")
        chosen = page.evaluate("(id) => JSON.parse(document.getElementById(id).dataset.setup)", setup)
        assert page.evaluate("state") == {**opening, **chosen, "language": "ja"}
        assert (focused(page), page.evaluate("run.step")) == ("play", 0)
        until(page, "!request")
        top = page.locator("#play").bounding_box()["y"]
        assert 0 <= top <= page.viewport_size["height"]
    page.click("#setup5")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#ed-message').textContent")
    assert page.text_content("#ed-message") == "28ステップで学習しました（4個中4個が正解）。"


def test_a_step_is_animated_unless_less_motion_is_wanted(open_page):
    page = open_page(reduced_motion="no-preference")
    page.select_option("#pace", "0")
    page.click("#step")
    assert page.evaluate("motion !== null")
    page.evaluate("motion.start -= 1e6")
    until(page, "motion === null && !request")
    page.emulate_media(reduced_motion="reduce")
    page.click("#step")
    assert page.evaluate("motion === null")
    assert page.evaluate("run.step") == 2


def test_screen_readers_are_told_of_a_step_and_not_of_every_frame(page):
    page.click("#step")
    until(page, "!request")
    told = page.text_content("#status")
    assert re.fullmatch(r"Target [01]\. ED: output \S+, error \S+\. Back-propagation: output \S+, error \S+\.", told)
    error = told.split("error ")[1].split(".  ")[0].rsplit(". Back", 1)[0]
    assert f"Every layer receives the error {error}" in page.get_attribute("#ed-network", "aria-label")
    assert page.get_attribute("#ed-picture", "aria-label").count("→") == 4
    page.evaluate("""() => {
      window.changes = 0;
      new MutationObserver(() => window.changes++).observe(document.querySelector("#status"), {childList: true});
    }""")
    page.select_option("#pace", "3")
    page.click("#play")
    until(page, "run.step > 60")
    assert page.evaluate("window.changes") == 1
    assert page.text_content("#status") == "Playing."


def test_a_network_that_is_stuck_says_so_and_new_weights_begin_anew(page):
    page.select_option("#task", "parity")
    page.focus("#width")
    page.keyboard.press("Home")
    page.evaluate("() => { for (let n = 0; n < 6000; n++) takeStep(); wake(); }")
    until(page, "document.querySelector('#ed-message').textContent.startsWith('Stuck')")
    assert "New weights" in page.text_content("#ed-message")
    assert page.text_content("#bp-message").startswith("Stuck: ")
    page.click("#fresh")
    until(page, "!request")
    assert page.text_content("#ed-message") == page.text_content("#bp-message") == ""


TOO_WIDE = """
[...document.querySelectorAll("body *")].filter((element) => {
  const { left, right, width } = element.getBoundingClientRect();
  return width && !element.closest("pre, .unseen") && (left < 0 || right > innerWidth);
}).map((element) => element.outerHTML.slice(0, 80))
"""


@pytest.mark.parametrize("language", ["en", "ja"])
def test_nothing_is_wider_than_a_phone(open_page, language):
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True)
    page.select_option("#language", language)
    page.focus("#layers")
    page.keyboard.press("End")
    for task in ("digits", "moons", "parity", "xor"):
        page.select_option("#task", task)
        page.click("#step")
        until(page, "!request")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate(TOO_WIDE) == []
    for control in (*CONTROLS, *OWN, *SETUPS):
        page.locator(f"#{control}").scroll_into_view_if_needed()
        box = page.locator(f"#{control}").bounding_box()
        assert box["height"] >= 24  # WCAG 2.2, target size
        assert box["width"] >= 24


def test_the_switch_changes_every_word(page):
    words = page.evaluate("WORDS")
    for language in ("ja", "en", "ja"):
        page.select_option("#language", language)
        page.click("#step")
        until(page, "!request")
        assert page.get_attribute("html", "lang") == language
        assert page.title() == words[language]["title"]
        shown = page.evaluate("[...document.querySelectorAll('[data-word]')].map(e => [e.dataset.word, e.textContent])")
        assert [text for _, text in shown] == [words[language][key] for key, _ in shown]
        assert re.search(r"[ぁ-ん]", page.get_attribute("#ed-network", "aria-label")) is None or language == "ja"
    left = page.evaluate("document.querySelector('main').innerText + document.querySelector('header').innerText")
    prose = re.sub(r"(?s)import edcore.*", "", left)
    english = set(re.findall(r"[A-Za-z]{3,}", prose)) - {
        "English",
        "XOR",
        "signed",
        "split",
        "depth",
        "Python",
        "edcore",
    }
    assert english == set()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing(open_page, scheme, width):
    script = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is missing").AXE_SCRIPT
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 844})
    page.evaluate("() => { for (let n = 0; n < 100; n++) takeStep(); wake(); }")
    until(page, "!request")
    page.evaluate(script)
    violations = page.evaluate("axe.run().then(({ violations }) => violations)")
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in violations] == []


def test_dark_and_light_are_drawn_in_their_own_colours(page):
    look = """() => [getComputedStyle(document.body).backgroundColor,
      ...[...document.querySelectorAll("canvas")].map((canvas) => canvas.toDataURL())]"""
    until(page, "!request")
    light = page.evaluate(look)
    page.evaluate("(drawn) => { window.light = drawn; }", light[-1])
    page.emulate_media(color_scheme="dark")
    until(page, "[...document.querySelectorAll('canvas')].at(-1).toDataURL() !== window.light && !request")
    dark = page.evaluate(look)
    page.emulate_media(color_scheme="light")
    assert all(one != other for one, other in zip(light, dark, strict=True))
    assert len(dark) == 6
