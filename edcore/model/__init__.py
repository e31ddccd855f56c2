"""The class `ED`, and what it needs: checks of inputs, the guard against divergence, classes of outputs."""
