"use strict";
// The arithmetic of the page, and nothing else: networks, ED's update, back-propagation's, seeded starts. No DOM.
//
//   z = x W + bias        y = f(z)        f(z) = 1 / (1 + exp(−2 z / u0))
//   ΔW_ij = α · mean_b [ x_bi · E_bij · g(y_bj) · s_j ]        g(y) = y (1 − y)
//
// A network has one output. A layer's weights are rows of sources, + cells first and then − cells, with the signs
// folded in, as in edcore; the sums are taken in the order of edcore's backend "loop", in float64.

const Engine = (() => {
  const signs = (cells) => [...Array(cells).fill(1), ...Array(cells).fill(-1)];

  function sigmoid(t) {
    if (t >= 0) return 1 / (1 + Math.exp(-t));
    return Math.exp(t) / (1 + Math.exp(t));
  }

  // Return a network whose weights are all 0. `width` is the number of cells of each sign in a hidden layer, and
  // `depth` the number of hidden layers beyond the first, as in edcore.Network.
  function network({ inputs, width, depth, nBias = 1, bias = 1, u0 = 0.4, inhibitoryOutput = false }) {
    const hidden = signs(width);
    const columns = [signs(inputs), ...Array(depth + 1).fill(hidden), inhibitoryOutput ? [1, -1] : [1]];
    const layers = columns.slice(1).map((targetSigns, n) => ({
      sourceSigns: columns[n],
      targetSigns,
      weight: new Float64Array(columns[n].length * targetSigns.length),
      bias: new Float64Array(nBias * targetSigns.length),
    }));
    return { inputs, width, depth, bias, u0, biasSigns: [1, -1].slice(0, nBias), layers };
  }

  // Return the activities of one sample: the input cells, both kinds of which see x, and then each layer's.
  function forward(net, x) {
    const cells = [Float64Array.of(...x, ...x)];
    for (const { weight, bias, targetSigns } of net.layers) {
      const source = cells[cells.length - 1];
      const columns = targetSigns.length;
      const y = new Float64Array(columns);
      for (let j = 0; j < columns; j++) {
        let z = 0;
        for (let i = 0; i < source.length; i++) z += source[i] * weight[i * columns + j];
        for (let k = 0; k < net.biasSigns.length; k++) z += net.bias * bias[k * columns + j];
        y[j] = sigmoid((2 * z) / net.u0);
      }
      cells.push(y);
    }
    return cells;
  }

  const output = (net, x) => forward(net, x)[net.layers.length][0];

  // Return E, the part of the error e that a synapse of a source with this sign learns from.
  function credit(rule, e, sourceSign) {
    if (rule === "signed") return e;
    return sourceSign > 0 ? Math.max(e, 0) : Math.min(e, 0);
  }

  // Return the mean over the batch of source_bi · factor(b, i, j), for each synapse.
  function meanOverBatch(batch, sources, targets, factor) {
    const change = new Float64Array(sources * targets);
    for (let i = 0; i < sources; i++) {
      for (let j = 0; j < targets; j++) {
        let total = 0;
        for (let b = 0; b < batch; b++) total += factor(b, i, j);
        change[i * targets + j] = total / batch;
      }
    }
    return change;
  }

  // Add rate · mean to the weights, and return the changes.
  function add(values, mean, rate) {
    return mean.map((one, n) => {
      const before = values[n];
      values[n] += rate * one;
      return values[n] - before;
    });
  }

  // Learn a batch by ED: after one forward pass, every layer gets the same error, and none waits for another.
  // `rates` are those of all layers but the last, and of the last. Return what happened, for the drawing.
  function learnByED(net, { rule, rates }, xs, targets) {
    const traces = xs.map((x) => forward(net, x));
    const errors = traces.map((cells, b) => targets[b] - cells[net.layers.length][0]);
    const batch = xs.length;
    const changes = net.layers.map(({ weight, bias, sourceSigns, targetSigns }, n) => {
      const rate = rates[n === net.layers.length - 1 ? 1 : 0];
      const columns = targetSigns.length;
      const part = (b, source, sign, j) => {
        const y = traces[b][n + 1][j];
        return source * credit(rule, errors[b], sign) * (y * (1 - y)) * targetSigns[j];
      };
      const weights = meanOverBatch(batch, sourceSigns.length, columns, (b, i, j) =>
        part(b, traces[b][n][i], sourceSigns[i], j));
      const biases = meanOverBatch(batch, net.biasSigns.length, columns, (b, k, j) =>
        part(b, net.bias, net.biasSigns[k], j));
      return { weight: add(weight, weights, rate), bias: add(bias, biases, rate) };
    });
    const signals = net.layers.map(() => errors.map((e) => [e])); // the same one at every layer
    return { traces, errors, signals, changes };
  }

  // Learn a batch by back-propagation: a plain gradient step of ½ mean_b (target − output)². A layer's signal is the
  // part −∂L/∂y of each of its cells; it is made of the weights and the signal of the layer behind it.
  function learnByBackpropagation(net, { rates }, xs, targets) {
    const last = net.layers.length - 1;
    const traces = xs.map((x) => forward(net, x));
    const errors = traces.map((cells, b) => targets[b] - cells[last + 1][0]);
    const signals = [];
    const sums = [];
    for (let n = last; n >= 0; n--) {
      signals[n] = errors.map((e, b) =>
        n === last
          ? net.layers[n].targetSigns.map((_, j) => (j === 0 ? e : 0))
          : backwards(net.layers[n + 1], sums[n + 1][b]));
      sums[n] = signals[n].map((signal, b) =>
        signal.map((s, j) => {
          const y = traces[b][n + 1][j];
          return s * (2 / net.u0) * y * (1 - y);
        }));
    }
    const changes = net.layers.map(({ weight, bias, sourceSigns, targetSigns }, n) => {
      const rate = rates[n === last ? 1 : 0];
      const mean = (sources, source) =>
        meanOverBatch(xs.length, sources, targetSigns.length, (b, i, j) => source(b, i) * sums[n][b][j]);
      const weights = mean(sourceSigns.length, (b, i) => traces[b][n][i]);
      const biases = mean(net.biasSigns.length, () => net.bias);
      return { weight: add(weight, weights, rate), bias: add(bias, biases, rate) };
    });
    return { traces, errors, signals, changes };
  }

  // Return −∂L/∂y of a layer's sources, for that of its sums.
  function backwards({ weight, sourceSigns }, sums) {
    return sourceSigns.map((_, i) => {
      let total = 0;
      for (let j = 0; j < sums.length; j++) total += weight[i * sums.length + j] * sums[j];
      return total;
    });
  }

  // Random numbers: the raw bits of PCG64(SeedSequence(seed, spawn_key)), as NumPy and so edcore draw them.
  const WEIGHTS = 0;
  const BIASES = 1;
  const SHUFFLING = 2;
  const START = 101; // of back-propagation's weights, which edcore draws otherwise

  function rawBits(seed, purpose, layer, count) {
    const words = seedWords([seed, 0, 0, 0, purpose, 0, layer]).map(BigInt);
    const long = (n) => (words[n + 1] << 32n) | words[n];
    const wide = (n) => (long(n) << 64n) | long(n + 2);
    const increment = BigInt.asUintN(128, (wide(4) << 1n) | 1n);
    const next = (state) => BigInt.asUintN(128, state * 0x2360ed051fc65da44385df649fccf645n + increment);
    let state = next(increment + wide(0));
    return Array.from({ length: count }, () => {
      state = next(state);
      const mixed = BigInt.asUintN(64, (state >> 64n) ^ state);
      const by = state >> 122n;
      return BigInt.asUintN(64, (mixed >> by) | (mixed << ((64n - by) & 63n)));
    });
  }

  // Return the 8 words of 32 bits that a SeedSequence makes of its entropy, which has at least 4 words.
  function seedWords(entropy) {
    const hasher = (start, factor) => (value) => {
      const hashed = value ^ start;
      start = Math.imul(start, factor);
      const product = Math.imul(hashed, start);
      return (product ^ (product >>> 16)) >>> 0;
    };
    const mix = (x, y) => {
      const mixed = (Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y)) | 0;
      return (mixed ^ (mixed >>> 16)) >>> 0;
    };
    const hash = hasher(0x43b0d7e5, 0x931e8875);
    const pool = entropy.slice(0, 4).map(hash);
    for (let from = 0; from < 4; from++) {
      for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
    }
    for (const word of entropy.slice(4)) {
      for (let to = 0; to < 4; to++) pool[to] = mix(pool[to], hash(word));
    }
    const generate = hasher(0x8b51f9dd, 0x58f38ded);
    return Array.from({ length: 8 }, (_, n) => generate(pool[n % 4]));
  }

  const uniform = (seed, purpose, layer, count) =>
    rawBits(seed, purpose, layer, count).map((bits) => Number(bits >> 11n) * 2 ** -53);

  // Return standard normal numbers (Box and Muller 1958).
  function normal(seed, purpose, layer, count) {
    const half = Math.ceil(count / 2);
    const drawn = uniform(seed, purpose, layer, 2 * half);
    const radius = drawn.slice(0, half).map((u) => Math.sqrt(-2 * Math.log1p(-u)));
    const angle = drawn.slice(half).map((u) => 2 * Math.PI * u);
    return [...radius.map((r, n) => r * Math.cos(angle[n])), ...radius.map((r, n) => r * Math.sin(angle[n]))]
      .slice(0, count);
  }

  // Start ED's network as edcore does: W_ij = s_i s_j abs(N(0, 1)), biases s_b s_j U(0, 1).
  function startED(net, seed) {
    net.layers.forEach(({ weight, bias, sourceSigns, targetSigns }, n) => {
      const columns = targetSigns.length;
      const sign = (sources, m) => sources[Math.floor(m / columns)] * targetSigns[m % columns];
      normal(seed, WEIGHTS, n, weight.length).forEach((w, m) => (weight[m] = sign(sourceSigns, m) * Math.abs(w)));
      uniform(seed, BIASES, n, bias.length).forEach((b, m) => (bias[m] = sign(net.biasSigns, m) * b));
    });
    return net;
  }

  // Start back-propagation's network with weights that suit a gradient, as edcore's reproductions do: of either sign,
  // N(0, 1) · 2 u0 / √sources, before the output N(0, 1) · u0 / (2 √sources), and biases that centre the sigmoids.
  function startBackpropagation(net, seed) {
    net.layers.forEach(({ weight, bias, sourceSigns, targetSigns }, n) => {
      const [sources, columns] = [sourceSigns.length, targetSigns.length];
      const scale = (n === net.layers.length - 1 ? net.u0 / 2 : 2 * net.u0) / Math.sqrt(sources);
      const drawn = normal(seed, START, n, (sources + 1) * columns);
      bias.fill(0);
      for (let j = 0; j < columns; j++) {
        bias[j] = scale * drawn[sources * columns + j];
        for (let i = 0; i < sources; i++) {
          weight[i * columns + j] = scale * drawn[i * columns + j];
          if (n > 0) bias[j] -= weight[i * columns + j] / (2 * net.bias);
        }
      }
    });
    return net;
  }

  // Return the order in which an epoch visits its samples, as edcore.ED.fit does.
  function permutation(seed, epoch, count) {
    const bits = rawBits(seed, SHUFFLING, epoch, count);
    return bits.map((_, n) => n).sort((a, b) => (bits[a] < bits[b] ? -1 : bits[a] > bits[b] ? 1 : a - b));
  }

  return {
    network, forward, output, learnByED, learnByBackpropagation, startED, startBackpropagation, permutation, uniform,
  };
})();
