"""The article's algorithm, which the tests and the benchmarks compare with."""
