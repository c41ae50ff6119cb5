"""Pure functions of the evaluation."""
