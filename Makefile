# One command for a machine with an NVIDIA GPU: it tests, measures and writes docs/benchmarks/gpu-*.md, in 9 minutes.
gpu:
	python tests/benchmarks/gpu.py
