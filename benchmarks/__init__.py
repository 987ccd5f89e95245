"""How fast this machine trains, scores and samples: ``python -m benchmarks``."""
