"""The formulas of the score, by hand."""

import numpy as np
import pytest

from rmpe_spm.coco.metric import SCORE_FORMULAS, person_score


def test_by_hand():
    scores = np.array([0.1, 0.2, 0.6, 0.9])
    found = {
        mode: person_score(scores, 0.5, mode, 0.2) for mode in SCORE_FORMULAS
    }
    assert found == pytest.approx(
        dict(bbox=0.5, keypoint=0.45, bbox_keypoint=0.375, bbox_rle=1.85)
    )
    assert person_score(scores, 0.5, 'bbox_keypoint', 0.9) == 0
    with pytest.raises(ValueError, match="one of bbox, .*'sum'"):
        person_score(scores, 0.5, 'sum', 0.2)
