"""SPM: all people of an image in one forward pass."""
