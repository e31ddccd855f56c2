"""An independent transcription of the article's network (2024), in its own layout and with its per-sample updates.

weight[p, q, i, o]: target stream p, source stream q. Streams: 0 excitatory, 1 inhibitory. ope = (+1, −1).
"""

import numpy as np


class Layer:
    def __init__(self, in_, out, alpha, random, u0=0.4):
        self.weight = np.abs(random.standard_normal((2, 2, in_, out)))
        self.weight[:, 1] *= -1
        self.bias = random.uniform(0, 1, (2, 1, out))
        self.alpha, self.u0 = alpha, u0

    def __call__(self, x):
        self.x, self.y = x, []
        for p, ope in enumerate((1.0, -1.0)):
            z = (x[0] @ self.weight[p, 0] + x[1] @ self.weight[p, 1] + self.bias[p]) * ope
            with np.errstate(over="ignore"):
                self.y.append(1 / (1 + np.exp(-2 * z / self.u0)))
        return self.y

    def update(self, error):
        for p in range(2):
            delta = error[:, None] * self.y[p] * (1 - self.y[p])
            for q in range(2):
                per_sample = self.x[q][:, :, None] * delta[:, None, :]
                self.weight[p, q] += self.alpha * per_sample.mean(axis=0)
            self.bias[p, 0] += self.alpha * delta.mean(axis=0)


class Network:
    def __init__(self, in_, width, depth, alpha, seed):
        random = np.random.default_rng(seed)
        stack = [Layer(width, width, alpha, random) for _ in range(depth)]
        self.layers = [Layer(in_, width, alpha, random), *stack, Layer(width, 1, 1.0, random)]

    def __call__(self, x):
        y = [x, x]
        for layer in self.layers:
            y = layer(y)
        return y[0][:, 0]

    def update(self, error):
        for layer in self.layers:
            layer.update(error)
