"""A person's score from the scores of the joints and of the box."""

import numpy as np

# b: box score, c: joint scores, thr: keypoint_score_thr of the metric
SCORE_FORMULAS = {
    'bbox': 'b',
    'keypoint': 'mean(c)',
    'bbox_keypoint': 'b * mean(c[c > thr])',
    'bbox_rle': 'b + mean(c) + max(c)',
}


def person_score(
    keypoint_scores: np.ndarray,
    bbox_score: float,
    score_mode: str,
    keypoint_score_thr: float,
) -> float:
    """A person's score, by the formulas of mmpose's ``CocoMetric``.

    Args:
        keypoint_scores (np.ndarray): Scores c (K,) of the joints.
        bbox_score (float): Score b of the box.
        score_mode (str): One of :data:`SCORE_FORMULAS`.
        keypoint_score_thr (float): Of ``'bbox_keypoint'``, whose mean is 0
            where no joint has a higher score.

    Returns:
        float: The score.

    Raises:
        ValueError: If there is no such ``score_mode``.
    """
    if score_mode == 'bbox':
        return bbox_score
    if score_mode == 'keypoint':
        return float(keypoint_scores.mean())
    if score_mode == 'bbox_rle':
        return float(
            bbox_score + keypoint_scores.mean() + keypoint_scores.max()
        )
    if score_mode != 'bbox_keypoint':
        raise ValueError(
            f'score_mode must be one of {", ".join(SCORE_FORMULAS)}: '
            f'{score_mode!r}'
        )
    good = keypoint_scores[keypoint_scores > keypoint_score_thr]
    return float(bbox_score * good.mean()) if len(good) else 0.0
