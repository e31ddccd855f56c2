"use strict";
// The drawings of the page, each a function of a canvas and of what it shows.

const Draw = (() => {
  const TOP = 76; // of the cells; above them the error arrives
  const BOTTOM = 46; // below the cells are the changes of the weights
  const BUS = 20; // the line that carries the error to all layers
  const FONT = '"Segoe UI", system-ui, "Hiragino Sans", "Noto Sans CJK JP", "Yu Gothic", sans-serif';

  let colours = {};

  // Read the colours of the style sheet, light or dark.
  function readColours() {
    const style = getComputedStyle(document.documentElement);
    const names = ["card", "ink", "quiet", "line", "positive", "negative", "error", "ed", "bp", "class0", "class1",
      "rest", "active", "warn", "on0", "on1"];
    colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }

  // Return the canvas's context, cleared, in CSS pixels, and its size.
  function fresh(canvas) {
    const scale = window.devicePixelRatio || 1;
    const w = canvas.clientWidth;
    const h = canvas.clientHeight;
    if (canvas.width !== Math.round(w * scale)) canvas.width = Math.round(w * scale);
    if (canvas.height !== Math.round(h * scale)) canvas.height = Math.round(h * scale);
    const ctx = canvas.getContext("2d");
    ctx.setTransform(scale, 0, 0, scale, 0, 0);
    ctx.globalAlpha = 1;
    ctx.clearRect(0, 0, w, h);
    ctx.lineCap = "round";
    return { ctx, w, h };
  }

  // Return the colour that is this share of the way from one to another.
  function mix(from, to, share) {
    const part = (colour, n) => parseInt(colour.slice(1 + 2 * n, 3 + 2 * n), 16);
    const s = Math.min(1, Math.max(0, share));
    return `rgb(${[0, 1, 2].map((n) => Math.round(part(from, n) + (part(to, n) - part(from, n)) * s)).join(",")})`;
  }

  function text(ctx, words, x, y, { size = 12, colour = colours.ink, align = "center", bold = false } = {}) {
    ctx.font = `${bold ? "700 " : ""}${size}px ${FONT}`;
    ctx.fillStyle = colour;
    ctx.textAlign = align;
    ctx.textBaseline = "middle";
    ctx.fillText(words, x, y);
  }

  function arrow(ctx, points, colour, width, head = true) {
    ctx.strokeStyle = ctx.fillStyle = colour;
    ctx.lineWidth = width;
    ctx.beginPath();
    points.forEach(([x, y], n) => (n ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
    ctx.stroke();
    if (!head) return;
    const [[x0, y0], [x1, y1]] = points.slice(-2);
    const turn = Math.atan2(y1 - y0, x1 - x0);
    const size = 3 + 2 * width;
    ctx.beginPath();
    ctx.moveTo(x1 + 1 * Math.cos(turn), y1 + 1 * Math.sin(turn));
    for (const side of [-0.45, 0.45]) ctx.lineTo(x1 - size * Math.cos(turn + side), y1 - size * Math.sin(turn + side));
    ctx.fill();
  }

  function numbered(ctx, x, y, number, lit) {
    ctx.fillStyle = lit ? colours.error : colours.card;
    ctx.strokeStyle = lit ? colours.error : colours.quiet;
    ctx.lineWidth = 1.5;
    ctx.beginPath();
    ctx.arc(x, y, 9.5, 0, 2 * Math.PI);
    ctx.fill();
    ctx.stroke();
    text(ctx, String(number), x, y + 0.5, { size: 12, bold: true, colour: lit ? colours.card : colours.quiet });
  }

  // Return a number that is not negative, in few characters: a small one as 3e−5.
  function brief(value, digits) {
    if (value === 0) return "0";
    if (value >= 0.5 * 10 ** -digits) return value.toFixed(digits);
    return value < 1e-99 ? "0" : value.toExponential(0).replace("e-", "e−");
  }
  const small = (value) => brief(value, 3);
  const signed = (value) => `${value < 0 ? "−" : "+"}${brief(Math.abs(value), 2)}`;
  const meanSize = (values) => values.reduce((sum, value) => sum + Math.abs(value), 0) / values.length;

  // Return where each column of cells is, and each cell in it.
  function places(net, w, h) {
    const [left, right] = w < 420 ? [38, 96] : [46, 104];
    const gap = (w - left - right) / net.layers.length;
    const columns = [net.layers[0].sourceSigns, ...net.layers.map((layer) => layer.targetSigns)];
    const most = Math.max(...columns.slice(1).map((signs) => signs.length), 4);
    const height = h - TOP - BOTTOM;
    return columns.map((signs, c) => {
      const plus = signs.filter((sign) => sign > 0).length;
      const minus = signs.length - plus;
      const pitch = Math.min(32, (height - 12) / Math.max(most, signs.length));
      const middle = (group) => TOP + height * (minus ? (group ? 0.75 : 0.25) : 0.5) + (minus ? (group ? 3 : -3) : 0);
      const y = signs.map((sign, j) => {
        const group = sign < 0 ? 1 : 0;
        const [at, of] = group ? [j - plus, minus] : [j, plus];
        return middle(group) + (at - (of - 1) / 2) * pitch;
      });
      return { x: left + c * gap, y, signs, radius: Math.min(10, pitch * 0.4), middle };
    });
  }

  // Draw the synapses into column c + 1: by sign and size, or, with `changes`, where they change.
  function synapses(ctx, from, to, values, largest, paint) {
    const columns = to.y.length;
    from.y.forEach((y0, i) => to.y.forEach((y1, j) => {
      const value = values[i * columns + j];
      const size = Math.min(1, Math.abs(value) / largest);
      if (size < 0.02) return;
      paint(value, size);
      ctx.beginPath();
      ctx.moveTo(from.x + from.radius, y0);
      ctx.lineTo(to.x - to.radius, y1);
      ctx.stroke();
    }));
  }

  // Return what the two images of an input and its weights give each cell, for a drawing of so many weights as one.
  function bundled(x, { weight, targetSigns, sourceSigns }) {
    const [half, columns] = [sourceSigns.length / 2, targetSigns.length];
    const sums = new Float64Array(2 * columns);
    for (let i = 0; i < sourceSigns.length; i++) {
      for (let j = 0; j < columns; j++) sums[(i < half ? 0 : columns) + j] += x[i] * weight[i * columns + j];
    }
    return sums;
  }

  // Draw a network. `shown` has: net, cells (activities, one array a column), step (what the last step gave, or null),
  // clock (moments since the step began, or null), back ("ed" or "bp"), target, pixels (side of the image, or 0) and
  // words.
  function network(canvas, shown) {
    const { ctx, w, h } = fresh(canvas);
    const { net, cells, step, clock, back, pixels, words } = shown;
    const last = net.layers.length;
    const at = places(net, w, h);
    if (pixels) at[0] = { ...at[0], y: [at[0].middle(0), at[0].middle(1)], radius: 30 };
    const front = clock === null ? last : Math.min(clock, last);
    // How far each layer of weights is in its learning: below 0 it waits, from 0 to 1 it learns.
    const progress = (n) => {
      if (!step) return -1;
      if (clock === null) return 9;
      return clock - last - 1 - (back === "ed" ? 0 : last - 1 - n);
    };

    const values = net.layers.map((layer, n) => (pixels && n === 0 ? bundled(cells[0], layer) : layer.weight));
    const most = (layer) => layer.reduce((found, value) => Math.max(found, Math.abs(value)), 1e-300);
    const inAll = Math.max(...values.slice(pixels ? 1 : 0).map(most));
    const largest = values.map((layer, n) => (pixels && n === 0 ? 1.6 * most(layer) : inAll));
    const strokes = (alpha) => values.forEach((layer, n) =>
      synapses(ctx, at[n], at[n + 1], layer, largest[n], (value, size) => {
        ctx.strokeStyle = value > 0 ? colours.positive : colours.negative;
        ctx.globalAlpha = alpha * (0.25 + 0.65 * size);
        ctx.lineWidth = 0.5 + 3.6 * size;
      }));
    if (front < last) strokes(0.25);
    ctx.save();
    ctx.beginPath();
    ctx.rect(0, 0, at[0].x + (front / last) * (at[last].x - at[0].x), h);
    ctx.clip();
    strokes(1);
    ctx.restore();
    net.layers.forEach((_, n) => {
      const p = progress(n);
      if (p <= 0 || p >= 1) return;
      const change = step.changes[n].weight;
      const seen = cells[0].map((x) => (x ? 1 : 0));
      const flashed = pixels && n === 0 ? bundled(seen, { ...net.layers[0], weight: change }) : change;
      // A layer that hardly changes shines less: from changes of 1e-2 down to those of 1e-6.
      const bright = Math.min(1, Math.max(0.15, (Math.log10(meanSize(change) + 1e-99) + 6) / 4));
      synapses(ctx, at[n], at[n + 1], flashed, most(flashed), (_, size) => {
        ctx.strokeStyle = colours.error;
        ctx.globalAlpha = bright * Math.sin(Math.PI * p) * (0.15 + 0.85 * size);
        ctx.lineWidth = 1 + 4 * size * bright;
      });
    });
    ctx.globalAlpha = 1;
    drawCells(ctx, at, cells, front, back === "ed", pixels);
    labels(ctx, at, shown, h);
    arrivals(ctx, at, shown, progress, w, h);
    changes(ctx, at, step, progress, h, words);
  }

  function drawCells(ctx, at, cells, front, withSigns, pixels) {
    at.forEach(({ x, y, signs, radius }, c) => {
      const seen = front >= c - 0.05;
      if (pixels && c === 0) {
        y.forEach((middle) => image(ctx, cells[0], pixels, x - radius, middle - radius, 2 * radius));
        return;
      }
      y.forEach((middle, j) => {
        ctx.fillStyle = mix(colours.rest, colours.active, seen ? cells[c][j] : 0);
        ctx.strokeStyle = withSigns ? (signs[j] > 0 ? colours.positive : colours.negative) : colours.quiet;
        ctx.lineWidth = 1.8;
        ctx.beginPath();
        ctx.arc(x, middle, radius, 0, 2 * Math.PI);
        ctx.fill();
        ctx.stroke();
      });
    });
  }

  // Write the kinds of cells at the left, and the target, the output and the error at the right.
  function labels(ctx, at, { back, step, target, cells, clock, words, net, pixels }, h) {
    const last = at[net.layers.length];
    const done = clock === null || clock >= net.layers.length;
    [0, 1].forEach((group) => {
      const y = pixels ? at[0].middle(group) - 40 : at[0].middle(group);
      const x = pixels ? at[0].x : 14;
      if (back === "ed") {
        const colour = group ? colours.negative : colours.positive;
        text(ctx, group ? "−" : "+", x, y, { size: 22, bold: true, colour });
      } else if (!pixels) {
        text(ctx, "x", x, y, { size: 15, colour: colours.quiet });
      }
    });
    const x = last.x + 60;
    const y = last.y[0];
    arrow(ctx, [[last.x + 12, y], [x - 31, y]], colours.quiet, 1.5);
    text(ctx, `${words.target} ${target}`, x, y + 28, { size: 12 });
    text(ctx, `${words.output} ${done ? cells[net.layers.length][0].toFixed(2) : "…"}`, x, y + 46, { size: 12 });
    const known = step && (clock === null || clock >= net.layers.length);
    ctx.fillStyle = known ? colours.error : colours.card;
    ctx.strokeStyle = known ? colours.error : colours.quiet;
    ctx.lineWidth = 1.5;
    ctx.beginPath();
    ctx.roundRect(x - 28, y - 14, 56, 28, 7);
    ctx.fill();
    ctx.stroke();
    const shown = known ? signed(step.errors[0]) : words.error;
    text(ctx, shown, x, y + 1, // −2e−20 is as wide as the box
      { size: known && shown.length < 6 ? 14 : 12, bold: known, colour: known ? colours.card : colours.quiet });
  }

  // Draw how the error comes to each layer: to all at once, or from one to the next. The numbers are moments.
  function arrivals(ctx, at, { back, step, net }, progress, w, h) {
    const last = net.layers.length;
    const gap = at[1].x - at[0].x;
    const every = gap < 40 ? 2 : 1; // numbers that would touch are left out
    const box = [at[last].x + 60, at[last].y[0] - 15];
    const landing = TOP - 28;
    const lit = (n) => progress(n) > 0;
    const width = (n) => (lit(n) ? 2.5 : 1.2);
    const waiting = mix(colours.line, colours.quiet, 0.3);
    const colour = (n) => (lit(n) ? colours.error : waiting);
    if (back === "ed") {
      arrow(ctx, [box, [box[0], BUS], [at[1].x, BUS]], colour(0), lit(0) ? 3 : 1.5, false);
      for (let n = 0; n < last; n++) {
        const share = Math.min(1, Math.max(0, progress(n) / 0.4));
        const x = at[n + 1].x;
        const end = BUS + 10 + (landing - BUS - 10) * (lit(n) ? share : 1);
        arrow(ctx, [[x, BUS], [x, end]], colour(n), width(n));
        numbered(ctx, x, BUS, 1, lit(n));
      }
    } else {
      for (let n = last - 1; n >= 0; n--) {
        const from = n === last - 1 ? box : [at[n + 2].x, landing];
        hop(ctx, from, [at[n + 1].x, landing], colour(n), width(n), lit(n) ? Math.min(1, progress(n) / 0.5) : 1);
        const apex = n === last - 1 ? (from[0] + at[n + 1].x) / 2 : (at[n + 1].x + at[n + 2].x) / 2;
        numbered(ctx, apex, BUS - 7, last - n, progress(n) > 0.25);
      }
    }
    if (!step) return;
    for (let n = 0; n < last; n++) {
      if (!lit(n) || (last - 1 - n) % every) continue;
      const signal = step.signals[n][0];
      const shown = back === "ed" || n === last - 1 ? signed(signal[0]) : small(meanSize(signal));
      text(ctx, shown, at[n + 1].x, TOP - 15, { size: gap < 60 ? 11 : 12, bold: true, colour: colours.error });
    }
  }

  // Draw the part of a leap from one column back to the column before it.
  function hop(ctx, [x0, y0], [x1, y1], colour, width, share) {
    const top = BUS - 7;
    const middle = (x0 + x1) / 2;
    const curve = (t) => {
      const mixed = (a, b, c, d) => a * (1 - t) ** 3 + 3 * b * t * (1 - t) ** 2 + 3 * c * t * t * (1 - t) + d * t ** 3;
      const lift = (4 * top - Math.min(y0, y1)) / 3;
      return [mixed(x0, x0 + (middle - x0) * 0.3, x1 - (x1 - middle) * 0.3, x1), mixed(y0, lift, lift, y1)];
    };
    const points = Array.from({ length: 25 }, (_, n) => curve((n / 24) * share));
    arrow(ctx, points, colour, width);
  }

  // Draw the mean size of the change of each layer's weights, on a logarithmic scale from 1e-5 to 1.
  function changes(ctx, at, step, progress, h, words) {
    text(ctx, "|ΔW|", 4, h - 24, { size: 12, align: "left", colour: colours.quiet });
    const gap = at[1].x - at[0].x;
    at.slice(1).forEach((to, n) => {
      const x = (at[n].x + to.x) / 2;
      ctx.strokeStyle = colours.line;
      ctx.lineWidth = 1;
      ctx.beginPath();
      ctx.moveTo(x - 12, h - 17);
      ctx.lineTo(x + 12, h - 17);
      ctx.stroke();
      if (!step || progress(n) <= 0) return;
      const size = meanSize(step.changes[n].weight);
      const height = size > 0 ? Math.max(1, 24 * Math.min(1, (Math.log10(size) + 5) / 5)) : 0;
      ctx.fillStyle = colours.error;
      ctx.globalAlpha = 0.75;
      ctx.fillRect(x - 7, h - 17 - height * Math.min(1, progress(n)), 14, height * Math.min(1, progress(n)));
      ctx.globalAlpha = 1;
      if (gap >= 40 || (at.length - n) % 2 === 0) text(ctx, small(size), x, h - 7, { size: gap < 60 ? 11 : 12 });
    });
  }

  // Draw an image of activities.
  function image(ctx, values, pixels, x, y, side) {
    const cell = side / pixels;
    for (let n = 0; n < pixels * pixels; n++) {
      ctx.fillStyle = mix(colours.rest, colours.active, values[n]);
      ctx.fillRect(x + (n % pixels) * cell, y + Math.floor(n / pixels) * cell, cell + 0.3, cell + 0.3);
    }
    ctx.strokeStyle = colours.quiet;
    ctx.lineWidth = 1;
    ctx.strokeRect(x, y, side, side);
  }

  const shade = (output) => output < 0.5
    ? mix(colours.class0, colours.card, 0.3 + 1.4 * output)
    : mix(colours.card, colours.class1, 1.4 * (output - 0.5));

  // Draw the output at each point of the plane, and the samples on it: squares are 1, circles 0.
  function boundary(canvas, output, x, y, current) {
    const { ctx, w, h } = fresh(canvas);
    const points = 64;
    const low = -0.15;
    const span = 1.3;
    const coarse = Object.assign(document.createElement("canvas"), { width: points, height: points });
    const pixel = coarse.getContext("2d");
    const middle = (n) => low + (span * (n + 0.5)) / points;
    for (let row = 0; row < points; row++) {
      for (let column = 0; column < points; column++) {
        pixel.fillStyle = shade(output([middle(column), middle(points - 1 - row)]));
        pixel.fillRect(column, row, 1, 1);
      }
    }
    ctx.imageSmoothingQuality = "high";
    ctx.drawImage(coarse, 0, 0, w, h);
    x.forEach(([x1, x2], n) => {
      const [px, py] = [((x1 - low) / span) * w, h - ((x2 - low) / span) * h];
      const size = (x.length > 8 ? 3.6 : 9) * (n === current ? 1.35 : 1);
      ctx.fillStyle = y[n] ? colours.class1 : colours.class0;
      ctx.strokeStyle = n === current ? colours.ink : colours.card;
      ctx.lineWidth = n === current ? 3 : 1.5;
      ctx.beginPath();
      if (y[n]) ctx.rect(px - size * 0.9, py - size * 0.9, 1.8 * size, 1.8 * size);
      else ctx.arc(px, py, size, 0, 2 * Math.PI);
      ctx.fill();
      ctx.stroke();
      if (x.length > 8) return;
      text(ctx, String(y[n]), px, py + 1, { size: 12, bold: true, colour: y[n] ? colours.on1 : colours.on0 });
    });
  }

  // Draw each pattern of bits with its target, and a bar for its output.
  function table(canvas, outputs, x, y, current) {
    const { ctx, w, h } = fresh(canvas);
    const row = h / x.length;
    x.forEach((bits, n) => {
      const middle = (n + 0.5) * row;
      if (n === current) {
        ctx.fillStyle = colours.line;
        ctx.fillRect(0, middle - row / 2, w, row);
      }
      text(ctx, `${bits.join(" ")} → ${y[n]}`, 4, middle + 1, { align: "left", size: Math.min(13, row * 0.62) });
      const left = 0.42 * w;
      ctx.strokeStyle = colours.quiet;
      ctx.lineWidth = 1;
      ctx.strokeRect(left, middle - row * 0.3, w - left - 2, row * 0.6);
      const right = outputs[n] > 0.5 === y[n] > 0.5;
      ctx.fillStyle = y[n] ? colours.class1 : colours.class0;
      ctx.fillRect(left, middle - row * 0.3, (w - left - 2) * outputs[n], row * 0.6);
      if (!right) text(ctx, "✕", w - 12, middle + 1, { size: 13, bold: true, colour: colours.warn });
    });
  }

  // Draw images, each with a frame of the class that the network gives it; wrong ones are crossed out.
  function images(canvas, outputs, x, y, pixels) {
    const { ctx, w } = fresh(canvas);
    const across = 6;
    const side = w / across;
    x.slice(0, across * across).forEach((values, n) => {
      const [left, top] = [(n % across) * side, Math.floor(n / across) * side];
      const said = outputs[n] > 0.5;
      image(ctx, values, pixels, left + 4, top + 4, side - 8);
      ctx.strokeStyle = said ? colours.class1 : colours.class0;
      ctx.lineWidth = 3.5;
      ctx.strokeRect(left + 3, top + 3, side - 6, side - 6);
      if (said === y[n] > 0.5) return;
      ctx.strokeStyle = colours.warn;
      ctx.beginPath();
      ctx.moveTo(left + 5, top + 5);
      ctx.lineTo(left + side - 5, top + side - 5);
      ctx.moveTo(left + side - 5, top + 5);
      ctx.lineTo(left + 5, top + side - 5);
      ctx.stroke();
    });
  }

  // Draw the two curves of the error: points are [step, error of ED, error of back-propagation].
  function curve(canvas, points, words) {
    const { ctx, w, h } = fresh(canvas);
    const [left, right, top, bottom] = [34, 14, 10, 24];
    const steps = Math.max(20, points.length ? points[points.length - 1][0] : 0);
    const high = 0.6;
    const px = (step) => left + ((w - left - right) * step) / steps;
    const py = (error) => h - bottom - (h - top - bottom) * (Math.min(error, high) / high);
    for (const level of [0, 0.25, 0.5]) {
      arrow(ctx, [[left, py(level)], [w - right, py(level)]], colours.line, 1, false);
      text(ctx, String(level), left - 6, py(level), { size: 11, align: "right", colour: colours.quiet });
    }
    text(ctx, "0", left, h - 9, { size: 11, colour: colours.quiet });
    text(ctx, `${steps} ${words.steps}`, w - right, h - 9, { size: 11, align: "right", colour: colours.quiet });
    [["bp", 2, [7, 4]], ["ed", 1, []]].forEach(([side, index, dashes]) => {
      if (!points.length) return;
      ctx.setLineDash(dashes);
      arrow(ctx, points.map((point) => [px(point[0]), py(point[index])]), colours[side], 2.6, false);
      ctx.setLineDash([]);
    });
    ctx.font = `12px ${FONT}`;
    const x = w - right - 40 - Math.max(ctx.measureText(words.ed).width, ctx.measureText(words.bp).width);
    ctx.fillStyle = colours.card;
    ctx.fillRect(x - 8, top - 4, w - x, 42);
    [["ed", words.ed, []], ["bp", words.bp, [7, 4]]].forEach(([side, name, dashes], n) => {
      const y = top + 8 + 18 * n;
      ctx.setLineDash(dashes);
      arrow(ctx, [[x, y], [x + 28, y]], colours[side], 2.6, false);
      ctx.setLineDash([]);
      text(ctx, name, x + 36, y, { size: 12, align: "left" });
    });
  }

  return { meanSize, signed, readColours, network, boundary, table, images, curve };
})();
