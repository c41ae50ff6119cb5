"""Pure functions that the models share."""
