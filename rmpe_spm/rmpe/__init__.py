"""RMPE: spatial transformers around a pose estimator, training boxes."""
