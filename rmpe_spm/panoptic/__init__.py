"""CMU Panoptic: people in a camera's space, and how well they are found."""
