"use strict";
// The page's controls and its clock: what is chosen, each step of both networks, and when to draw.

const RATES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2];
const PACES = [
  { moment: 600, every: 4000 }, // milliseconds: of each moment of the animation, and without it of a step
  { total: 1000, every: 1000 },
  { perSecond: 20 },
  { perSecond: 300 },
];
const STEP_MOMENT = 350; // of the button for one step
const PATIENCE = 2000; // steps without progress after which a network is stuck
const PROGRESS = 0.98; // an error counts as lower below this share of the lowest before it
const SATURATED = 0.01; // mean g = y (1 − y) of a layer below which its cells are at 0 or 1; its most is 0.25
const LEARNT = 0.1; // mean error
const POINTS = 400; // of the curve, at most

const TASKS = {
  // `every`: steps from one look at all samples to the next, whatever the pace, so that what is found repeats.
  xor: { picture: "boundary", width: 4, every: 1 },
  parity: { picture: "table", width: 8, every: 2 },
  moons: { picture: "boundary", width: 8, every: 8 },
  digits: { picture: "images", width: 4, every: 24, pixels: 8 },
};
const SIDES = ["ed", "bp"];
const at = (id) => document.getElementById(id);

const state = {
  language: document.documentElement.lang, task: "xor", rule: "signed", layers: 3, width: 4, seed: 1106, pace: 1,
  rates: { ed: 0.4, bp: 0.1 }, playing: false,
};
const opening = structuredClone(state);
let run; // the networks and what they have learnt
let motion = null; // the animation of a step: when it began, and how long each moment is
let lastFrame = 0;
let due = 0; // steps that a pace owes
let labelled = 0; // when the texts for screen readers were last written
let pictured = {}; // what the pictures of the outputs show, and since when
let request = 0;
const still = window.matchMedia("(prefers-reduced-motion: reduce)");
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function word(key, values = {}) {
  return WORDS[state.language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

const { meanSize, signed } = Draw;

// Return the samples of a task; images are texts with a letter for each pixel, "a" for 0 to "q" for 1.
function samplesOf(task) {
  const found = SAMPLES[task];
  if (!TASKS[task].pixels) return { ...found, xTest: found.x, yTest: found.y };
  const size = TASKS[task].pixels ** 2;
  const images = (letters) => Array.from({ length: letters.length / size }, (_, n) =>
    Array.from(letters.slice(n * size, (n + 1) * size), (letter) => (letter.charCodeAt(0) - 97) / 16));
  return { x: images(found.x), y: found.y, xTest: images(found.xTest), yTest: found.yTest };
}

// Make both networks anew, from the seed.
function restart() {
  const samples = samplesOf(state.task);
  const shape = { inputs: samples.x[0].length, width: state.width, depth: state.layers - 1 };
  const nets = {
    ed: Engine.startED(Engine.network({ ...shape, nBias: state.rule === "split" ? 2 : 1 }), state.seed),
    bp: Engine.startBackpropagation(Engine.network(shape), state.seed),
  };
  run = { samples, nets, step: 0, epoch: 0, order: [], current: 0, last: { ed: null, bp: null }, curve: [], seen: {} };
  run.stride = TASKS[state.task].every;
  SIDES.forEach((side) => (run.seen[side] = { lowest: Infinity, at: 0, learnt: null }));
  run.order = Engine.permutation(state.seed, 0, samples.x.length);
  run.current = run.order[0];
  motion = null;
  due = 0;
  judge();
}

// Let both networks learn the next sample.
function takeStep() {
  const { samples, nets, order } = run;
  const count = samples.x.length;
  const place = run.step % count;
  if (place === 0 && run.step) run.order = Engine.permutation(state.seed, run.step / count, count);
  run.current = run.order[place];
  const [x, target] = [[samples.x[run.current]], [samples.y[run.current]]];
  const { ed, bp } = state.rates;
  run.last.ed = Engine.learnByED(nets.ed, { rule: state.rule, rates: [ed, ed] }, x, target);
  run.last.bp = Engine.learnByBackpropagation(nets.bp, { rates: [bp, bp] }, x, target);
  run.step++;
  run.epoch = Math.floor(run.step / count);
  if (run.step % TASKS[state.task].every === 0) judge();
}

// Compute each network's outputs for all samples, and its error.
function measure() {
  const { samples, seen } = run;
  SIDES.forEach((side) => {
    const net = run.nets[side];
    let error = 0;
    const g = net.layers.map(() => 0);
    const outputs = samples.x.map((x, n) => {
      const layers = Engine.forward(net, x);
      const output = layers[net.layers.length][0];
      error += Math.abs(samples.y[n] - output);
      layers.slice(1).forEach((cells, layer) => cells.forEach((y) => (g[layer] += (y * (1 - y)) / cells.length)));
      return output;
    });
    const tested = samples.xTest === samples.x ? outputs : samples.xTest.map((x) => Engine.output(net, x));
    const right = (found, y) => found.filter((output, n) => output > 0.5 === y[n] > 0.5).length;
    const now = seen[side];
    now.error = error / samples.x.length;
    now.outputs = tested;
    now.right = right(tested, samples.yTest);
    now.allRight = right(outputs, samples.y) === samples.x.length;
    now.saturated = Math.min(...g) / samples.x.length < SATURATED;
  });
}

// Find out whether each network has learnt or is stuck, and add a point to the curve.
function judge() {
  measure();
  const { seen, step } = run;
  SIDES.forEach((side) => {
    const now = seen[side];
    if (now.error < PROGRESS * now.lowest) [now.lowest, now.at] = [now.error, step];
    const learnt = now.error < LEARNT && now.allRight;
    if (learnt && now.learnt === null) [now.learnt, now.learntRight] = [step, now.right];
    now.stuck = !learnt && step - now.at >= PATIENCE;
    if (!learnt && now.stuck) now.learnt = null;
  });
  if (step % run.stride === 0) run.curve.push([step, seen.ed.error, seen.bp.error]);
  if (run.curve.length > POINTS) { // half of them, as far apart from each other as before
    run.stride *= 2;
    run.curve = run.curve.filter(([at]) => at % run.stride === 0);
  }
}

// ---- what is shown

function message(side) {
  const now = run.seen[side];
  if (!Number.isFinite(now.error)) return ["diverged", {}];
  if (now.stuck) return [now.saturated ? "saturated" : "stuck", { n: PATIENCE.toLocaleString(state.language) }];
  if (now.learnt === null) return null;
  return ["learnt", { step: now.learnt.toLocaleString(state.language), right: rightOf(now.learntRight) }];
}

// Return in words how many are right.
function rightOf(right) {
  return word(TASKS[state.task].pixels ? "right_test" : "right", { right, all: run.samples.yTest.length });
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function hiddenLayers() {
  return word(state.layers === 1 ? "one_hidden" : "hidden", { n: state.layers, w: state.width, d: state.layers - 1 });
}

function activities(side) {
  return run.last[side]?.traces[0] ?? Engine.forward(run.nets[side], run.samples.x[run.current]);
}

function draw(now) {
  const { samples, current, seen } = run;
  const clock = motion ? (now - motion.start) / motion.moment : null;
  const words = { target: word("target"), output: word("output"), error: word("error") };
  const target = samples.y[current];
  const { pixels = 0 } = TASKS[state.task];
  SIDES.forEach((side) => {
    const shown = { clock, back: side, target, pixels, words };
    Draw.network(at(`${side}-network`), { net: run.nets[side], cells: activities(side), step: run.last[side], ...shown });
    setText(at(`${side}-right`), rightOf(seen[side].right));
    const found = message(side);
    at(`${side}-message`).classList.toggle("learnt", found?.[0] === "learnt");
    setText(at(`${side}-message`), found ? word(...found) : "");
  });
  drawPictures(now);
  const points = [...run.curve, [run.step, seen.ed.error, seen.bp.error]];
  Draw.curve(at("curve"), points, { steps: word("steps"), ed: word("ed"), bp: word("bp") });
  const counts = { step: run.step.toLocaleString(state.language), epoch: run.epoch.toLocaleString(state.language) };
  setText(at("count"), word("count", counts));
  if ((!state.playing && !motion) || now - labelled > 1000) describe(now);
}

// Draw what each network says of the samples, when that has changed.
function drawPictures(now) {
  const { samples, current, seen } = run;
  const { picture, pixels } = TASKS[state.task];
  const key = pictureKey();
  if (pictured.key === key || (state.playing && now - pictured.at < 80)) return; // they take the longest to draw
  pictured = { key, at: now };
  SIDES.forEach((side) => {
    const canvas = at(`${side}-picture`);
    const output = (x) => Engine.output(run.nets[side], x);
    if (picture === "boundary") Draw.boundary(canvas, output, samples.x, samples.y, current);
    else if (picture === "table") Draw.table(canvas, seen[side].outputs, samples.x, samples.y, current);
    else Draw.images(canvas, seen[side].outputs, samples.xTest, samples.yTest, pixels);
  });
}

const pictureKey = () => [run.step, state.task, state.seed, state.width, state.layers, state.rule, dark.matches,
  at("ed-picture").clientWidth].join();

// Write what the drawings show in words, for those who do not see them.
function describe(now) {
  labelled = now;
  const { samples, current, seen, step } = run;
  const digits = (value) => value.toFixed(2);
  SIDES.forEach((side) => {
    const last = run.last[side];
    const cells = activities(side);
    const sizes = last?.signals.map((signal) => digits(meanSize(signal[0]))).reverse();
    let arrivals = word("alt_before");
    if (last) {
      arrivals = side === "ed"
        ? word("alt_ed", { error: signed(last.errors[0]) })
        : word("alt_bp", { n: sizes.length, errors: sizes.join(", ") });
    }
    at(`${side}-network`).setAttribute("aria-label", word("alt_network", {
      name: word(side), hidden: hiddenLayers(), target: samples.y[current], arrivals,
      x: TASKS[state.task].pixels ? current + 1 : samples.x[current].join(" "), output: digits(cells.at(-1)[0]),
      changes: last ? last.changes.map(({ weight }) => meanSize(weight).toPrecision(2)).join(", ") : "0",
    }));
    const outputs = samples.yTest.length > 8
      ? rightOf(seen[side].right)
      : samples.x.map((x, n) => `${x.join(" ")} → ${digits(seen[side].outputs[n])}`).join("; ");
    at(`${side}-picture`).setAttribute("aria-label", word("alt_picture", { name: word(side), outputs }));
  });
  at("curve").setAttribute("aria-label",
    word("alt_curve", { step, ed: digits(seen.ed.error), bp: digits(seen.bp.error) }));
}

// Write all words and the state of all controls.
function write() {
  document.documentElement.lang = state.language;
  document.title = word("title");
  document.querySelectorAll("[data-word]").forEach((element) => setText(element, word(element.dataset.word)));
  document.querySelectorAll("[data-label]").forEach((element) =>
    element.setAttribute("aria-label", word(element.dataset.label)));
  setText(at("play"), word(state.playing ? "pause" : "play"));
  for (const name of ["language", "task", "pace", "rule", "layers", "width", "seed"]) at(name).value = state[name];
  const range = (id, text) => {
    at(id).setAttribute("aria-valuetext", text);
    setText(at(id).nextElementSibling, text);
  };
  range("layers", String(state.layers));
  range("width", `${state.width} + ${state.width}`);
  SIDES.forEach((side) => {
    at(`${side}-rate`).value = RATES.indexOf(state.rates[side]);
    range(`${side}-rate`, String(state.rates[side]));
  });
  document.querySelectorAll(".picture-name").forEach((element) =>
    setText(element, word(`picture_${TASKS[state.task].picture}`)));
  setText(at("ed-moments"), word("moments1"));
  setText(at("bp-moments"), word("moments", { n: state.layers + 1 }));
  writePython();
}

// Write a program that makes the network of ED in edcore, and lets it learn as many epochs.
function writePython() {
  const data = {
    xor: "import edcore\n\ndata = edcore.datasets.xor()\nx, y = data.x_train, data.y_train",
    parity: "import edcore\n\ndata = edcore.datasets.parity(3)\nx, y = data.x_train, data.y_train",
    moons: "import edcore\nfrom sklearn.datasets import make_moons\n\n"
      + "x, y = make_moons(80, noise=0.1, random_state=1)\nx = ((x - x.min(0)) / (x.max(0) - x.min(0))).round(3)",
    digits: "import edcore\n\ndata = edcore.datasets.digits(classes=(0, 1))\nx, y = data.x_train, data.y_train",
  }[state.task];
  const rate = state.rates.ed;
  setText(at("python"), `${data}\n\ned = edcore.ED(\n    in_=${run.samples.x[0].length}, hidden_width=${state.width}, `
    + `hidden_depth=${state.layers - 1}, rule="${state.rule}", alpha=${rate}, alpha_output=${rate},\n    `
    + `inhibitory_output=False, dtype="float64", seed=${state.seed},\n)\n`
    + `ed.fit(x, y, epochs=${run.epoch}, batch_size=1)\nprint(ed(x))\n`);
}

function announce() {
  if (state.playing) setText(at("status"), word("playing"));
  else if (!run.step) setText(at("status"), word("ready"));
  else {
    const [ed, bp] = SIDES.map((side) => run.last[side]);
    const output = (step) => step.traces[0].at(-1)[0].toFixed(2);
    setText(at("status"), word("stepped", {
      target: run.samples.y[run.current],
      ed: output(ed), ede: signed(ed.errors[0]), bp: output(bp), bpe: signed(bp.errors[0]),
    }));
  }
}

// ---- the clock

function begin(now, pace) {
  takeStep();
  measure();
  const moments = 2 * (state.layers + 1) + 1;
  motion = still.matches ? null : { start: now, moment: pace.moment ?? pace.total / (moments + 1), moments };
}

function frame(now) {
  request = 0;
  const passed = Math.min(100, now - lastFrame);
  lastFrame = now;
  if (motion && (now - motion.start) / motion.moment > motion.moments + 0.7) {
    motion = null;
    if (!state.playing) announce();
  }
  const pace = PACES[state.pace];
  if (state.playing && !motion) {
    due += (passed / 1000) * (pace.perSecond ?? 1000 / pace.every);
    if (!pace.perSecond) {
      if (!still.matches || due >= 1) {
        begin(now, pace);
        due = 0;
      }
    } else if (due >= 1) {
      const until = performance.now() + 25; // a slow machine learns more slowly, and still draws
      for (; due >= 1 && performance.now() < until; due--) takeStep();
      due = Math.min(due, 1);
      measure();
    }
  }
  draw(now);
  if (state.playing || motion) wake();
}

function wake() {
  if (!request) request = requestAnimationFrame(frame);
}

function play(playing) {
  state.playing = playing;
  motion = null;
  due = playing && !PACES[state.pace].perSecond ? 1 : 0;
  lastFrame = performance.now();
  write();
  announce();
  wake();
}

function reset() {
  restart();
  write();
  announce();
  wake();
}

// ---- the controls

at("play").addEventListener("click", () => play(!state.playing));
at("step").addEventListener("click", () => {
  if (state.playing) play(false);
  begin(performance.now(), { moment: STEP_MOMENT * (state.pace === 0 ? PACES[0].moment / STEP_MOMENT : 1) });
  write();
  announce();
  wake();
});
at("again").addEventListener("click", reset);
at("fresh").addEventListener("click", () => {
  state.seed = (state.seed + 1) % 2 ** 32;
  reset();
});
at("language").addEventListener("change", (event) => {
  state.language = event.target.value;
  write();
  announce();
  labelled = 0;
  wake();
});
at("task").addEventListener("change", (event) => {
  state.task = event.target.value;
  state.width = TASKS[state.task].width;
  reset();
});
at("rule").addEventListener("change", (event) => {
  state.rule = event.target.value;
  reset();
});
at("pace").addEventListener("change", (event) => {
  state.pace = Number(event.target.value);
  motion = null;
  write();
  wake();
});
["layers", "width"].forEach((name) => at(name).addEventListener("input", (event) => {
  state[name] = Number(event.target.value);
  reset();
}));
at("seed").addEventListener("change", (event) => {
  const seed = Math.trunc(event.target.valueAsNumber); // NaN of an empty field
  if (seed >= 0 && seed < 2 ** 32) state.seed = seed;
  reset();
});
SIDES.forEach((side) => {
  at(`${side}-rate`).max = RATES.length - 1;
  at(`${side}-rate`).addEventListener("input", (event) => {
    state.rates[side] = RATES[Number(event.target.value)];
    write();
    wake();
  });
});
document.querySelectorAll("[data-setup]").forEach((button) => button.addEventListener("click", () => {
  const { language } = state;
  Object.assign(state, structuredClone(opening), JSON.parse(button.dataset.setup), { language });
  reset();
  at("play").focus();
  document.querySelector(".controls").scrollIntoView({ block: "nearest" });
}));
dark.addEventListener("change", () => {
  Draw.readColours();
  wake();
});
new ResizeObserver(wake).observe(document.querySelector(".stage"));

Draw.readColours();
restart();
write();
announce();
wake();
