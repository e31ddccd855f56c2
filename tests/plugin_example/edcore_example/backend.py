"""NumPy, one head after another. `fit` and `synchronize` are inherited."""

import numpy as np

from edcore.contract.backend import Backend, classic
from edcore.contract.memory import fits


class ExampleBackend(Backend):
    device = "cpu"

    def __init__(self):
        from edcore_example import BACKEND

        self.info = BACKEND

    def supports(self, network, rule):
        reason = classic(network, rule)  # no kernels for ReLU and the like
        return reason if reason is not True else fits(network, self.memory())

    def from_host(self, weights):
        return {key: value.copy() for key, value in weights.items()}

    to_host = from_host

    def forward(self, network, weights, x):
        return self.trace(network, weights, x)[0]

    def trace(self, network, weights, x):
        trace = []
        for head in range(network.heads):
            trace.append([np.concatenate([x, x], axis=1)])
            for layer in network.layers:
                w = weights[f"{layer.name}.weight"][layer.where(head)]
                b = weights[f"{layer.name}.bias"][layer.where(head)]
                with np.errstate(over="ignore"):
                    y = 1 / (1 + np.exp(-2 / network.u0 * (trace[head][-1] @ w + b.sum(axis=0))))
                trace[head].append(y.astype(network.dtype))
        return np.stack([activities[-1][:, 0] for activities in trace], axis=1), trace

    def update(self, network, rule, weights, trace, error):
        learned = self.from_host(weights)
        for head, activities in enumerate(trace):
            e = np.array(error[:, head, None], order="C") / (len(error) if rule.reduction == "mean" else 1)
            for number, layer in enumerate(network.layers):
                x, y = activities[number : number + 2]
                alpha = rule.alpha_output if layer.name == "output" else rule.alpha
                delta = (alpha * y * (1 - y) * np.asarray(layer.target_signs)).astype(network.dtype)
                ones = np.ones((len(x), network.n_bias), network.dtype)
                for key, source, signs in (("weight", x, layer.source_signs), ("bias", ones, network.bias_signs)):
                    split = np.where(np.asarray(signs) > 0, np.maximum(e, 0), np.minimum(e, 0))
                    credit = e if rule.error == "signed" else split
                    learned[f"{layer.name}.{key}"][layer.where(head)] += (source * credit).T @ delta
        return learned
