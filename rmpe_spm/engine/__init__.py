"""What runs beside the runner: hooks, optimisers, checkpoints, weights."""
