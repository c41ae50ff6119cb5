"""One table over models, data sets and sources of boxes."""
