"""What the product must be fast at, measured: ``python -m benchmarks``."""
