"""Speed and memory of the package against a plain reference, side by side in one process: ``python -m benchmarks``."""
