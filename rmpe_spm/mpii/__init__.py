"""MPII multi-person: data set, metric, files of its toolkit."""
