"""What is wrong with a model's predictions for a COCO metric."""

from collections.abc import Mapping, Sequence
from typing import Any


def check_sample(
    sample: Mapping[str, Any],
    num_keypoints: int,
    converted_keypoints: int | None = None,
) -> None:
    """Check the predictions of one sample, before they are collected.

    Args:
        sample (mapping): The model's, with ``img_id`` and
            ``pred_instances``.
        num_keypoints (int): K of the data set.
        converted_keypoints (int, optional): K that a ``pred_converter``
            makes of the model's. Defaults to None: there is none.

    Raises:
        ValueError: If they have no joint scores, or joints of another
            skeleton.
    """
    poses = sample.get('pred_instances', {})
    if len(poses.get('keypoints', ())) == 0:
        return
    where = f'the predictions for image {sample["img_id"]} have'
    if poses.get('keypoint_scores') is None:
        raise ValueError(
            f'{where} no keypoint_scores, without which they cannot be ranked'
        )
    found = converted_keypoints or poses['keypoints'].shape[1]
    if found != num_keypoints:
        raise ValueError(
            f'{where} {found} joints, but the data set has {num_keypoints}: '
            'convert them with pred_converter, or evaluate on the data set '
            'that the model was trained for'
        )


def check_unique(predictions: Sequence[Mapping[str, Any]]) -> None:
    """Refuse two predictions for a sample; mmpose would drop some.

    Args:
        predictions (sequence): As ``CocoMetric`` collects them, with ``id``,
            ``img_id`` and ``keypoints``.

    Raises:
        ValueError: Names the first sample that came twice.
    """
    seen = set()
    for each in predictions:
        if len(each['keypoints']) == 0:
            continue
        name = each['id']
        name = tuple(name) if isinstance(name, list) else name
        if (each['img_id'], name) in seen:
            raise ValueError(
                f'image {each["img_id"]}: the predictions for the sample '
                f'{each["id"]} came twice: every person (of a top-down '
                'data set) or image needs an id of its own'
            )
        seen.add((each['img_id'], name))
