"""Images with poses in which every number tells where it belongs."""

import numpy as np

# poses of each image
SIZES = [2, 0, 3]


def images(make=np.asarray):
    """Three images; every number tells where it belongs."""
    kpts = [np.arange(n * 4.0).reshape(n, 2, 2) + 100 * n for n in SIZES]
    scores = [np.arange(n * 2.0).reshape(n, 2) / 10 for n in SIZES]
    boxes = [np.arange(n * 4.0).reshape(n, 4) for n in SIZES]
    box_scores = [np.linspace(0.5, 1, n) for n in SIZES]
    return [
        [make(image) for image in field]
        for field in (kpts, scores, boxes, box_scores)
    ]
