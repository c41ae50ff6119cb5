"""What made the results pages: ablations, comparisons, curves."""
