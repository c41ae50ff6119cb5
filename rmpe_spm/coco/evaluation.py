"""COCO's and CrowdPose's keypoint evaluation, by faster-coco-eval."""

import os
from collections.abc import Sequence

import numpy as np
from faster_coco_eval import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster

from ..files import read_json
from ..oks import annotated_oks, check_sigmas
from .annotations import KeypointAnnotations
from .ground_truth import pairs_within
from .results import MAX_POSES, check_results, check_scored, is_scored

NAMES = (
    'AP', 'AP .5', 'AP .75', 'AP (M)', 'AP (L)',
    'AR', 'AR .5', 'AR .75', 'AR (M)', 'AR (L)',
)  # fmt: skip
CROWD_NAMES = (
    'AP', 'AP .5', 'AP .75', 'AR', 'AR .5', 'AR .75',
    'AP(E)', 'AP(M)', 'AP(H)',
)  # fmt: skip

# crowd indices where CrowdPose's medium and hard images begin
_MEDIUM, _HARD = 0.2, 0.8

# pairs of poses and people compared at once
_PAIRS = 1 << 14


def evaluate_files(
    ann_file: str | os.PathLike,
    result_file: str | os.PathLike,
    sigmas: Sequence[float],
    iou_type: str = 'keypoints',
    use_area: bool = True,
) -> dict[str, float]:
    """Check and evaluate a file of results, see :func:`evaluate_keypoints`.

    Raises:
        FileNotFoundError: If a file doesn't exist.
        ConfigError: Names the first entry that can't be evaluated, or says
            that no pose has a joint of a positive score.
    """
    annotations = KeypointAnnotations.read(ann_file)
    annotations.require('categories')
    annotations.check_evaluation(len(sigmas), use_area, iou_type)
    results = read_json(result_file)
    check_results(
        results,
        len(sigmas),
        {image['id'] for image in annotations.images},
        {category['id'] for category in annotations.categories},
        str(result_file),
    )
    check_scored(results, str(result_file))
    return evaluate_keypoints(
        annotations.content, results, sigmas, iou_type, use_area
    )


def evaluate_keypoints(
    annotations: dict,
    results: list[dict],
    sigmas: Sequence[float],
    iou_type: str = 'keypoints',
    use_area: bool = True,
) -> dict[str, float]:
    """AP and AR of keypoint results, equal to those of xtcocotools.

    The data are not changed, and not checked. As in xtcocotools, the 20 poses
    of the highest score of each image and category count, poses without a
    joint of a positive score do not, and a number is -1 where nobody is
    annotated whom it could be about.

    Args:
        annotations (dict): Content of COCO's annotation file.
        results (list[dict]): ``image_id``, ``category_id``, ``keypoints``
            (x, y, score of each joint), ``score`` and maybe ``bbox`` of
            each pose. May be empty.
        sigmas (sequence): Shape (K,). A float32 array is used as it is.
        iou_type (str): ``'keypoints'``, or ``'keypoints_crowd'`` for
            CrowdPose: people count by their ``num_keypoints``, and AP is also
            that of easy, medium and hard images (``crowdIndex`` below 0.2,
            below 0.8, and above), rounded to four places.
        use_area (bool): Whether to use the people's ``area``, or else 0.53
            of their box. Defaults to True.

    Returns:
        dict[str, float]: The numbers of :data:`NAMES` or
        :data:`CROWD_NAMES`.
    """
    sigmas = np.asarray(sigmas)
    check_sigmas(sigmas)
    crowd = iou_type == 'keypoints_crowd'
    images = _places(annotations['images'])
    categories = _places(annotations['categories'])
    people = _select(annotations['annotations'], images, categories)
    people = [_person(*each, crowd, use_area) for each in people]
    poses = _select(results, images, categories)
    poses = [_pose(*each) for each in poses if is_scored(each[0])]
    evaluator = _Evaluator(
        _dataset(people, images, categories),
        _dataset(poses, images, categories),
        _oks_by_image(people, poses, sigmas),
    )
    stats = []
    for values in evaluator.measure(range(len(images))):
        # at all thresholds, at OKS 0.5 and at 0.75
        stats += [_mean(values), _mean(values[0]), _mean(values[5])]
        if not crowd:
            stats += [_mean(values, area) for area in (1, 2)]
    if not crowd:
        return dict(zip(NAMES, stats, strict=True))
    parts = [[], [], []]
    for image in annotations['images']:
        part = sum(image['crowdIndex'] >= start for start in (_MEDIUM, _HARD))
        parts[part].append(images[image['id']])
    for part in parts:
        ap = -1.0
        if part:
            precision, _ = evaluator.measure(part)
            ap = round(float(precision[..., 0, :].mean()), 4)
        stats.append(ap)
    return dict(zip(CROWD_NAMES, stats, strict=True))


class _Evaluator(COCOeval_faster):
    """faster-coco-eval's, with the OKS known."""

    def __init__(self, people: COCO, poses: COCO, oks: dict) -> None:
        super().__init__(people, poses, 'keypoints')
        # those without annotations, too: their AP is -1, not left out
        self.params.catIds = people.getCatIds()
        self.oks = oks

    def computeOks(self, imgId: int, catId: int) -> np.ndarray | list:
        return self.oks.get((catId, imgId), [])

    def measure(self, images: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Precision (10, 101, C, 3, 1) and recall (10, C, 3, 1)."""
        self.params.imgIds = sorted(set(images))
        self.evaluate()
        self.accumulate()
        return tuple(np.asarray(self.eval[n]) for n in ('precision', 'recall'))


def _places(entries: list[dict]) -> dict:
    """Place of each id among the sorted ids."""
    ids = sorted({entry['id'] for entry in entries})
    return {id_: place for place, id_ in enumerate(ids)}


def _select(entries: list[dict], images: dict, categories: dict) -> list:
    """The entries of listed images and categories, and those with places."""
    return [
        (
            entry,
            dict(
                category_id=categories[entry['category_id']],
                image_id=images[entry['image_id']],
                keypoints=entry['keypoints'],
            ),
        )
        for entry in entries
        if entry['image_id'] in images and entry['category_id'] in categories
    ]


def _person(entry: dict, placed: dict, crowd: bool, use_area: bool) -> dict:
    """What the evaluation needs of an annotation."""
    width, height = entry['bbox'][2:]
    if crowd:
        number = int(entry['num_keypoints'])
    else:
        number = sum(value > 0 for value in entry['keypoints'][2::3])
    return dict(
        placed,
        bbox=entry['bbox'],
        area=entry['area'] if use_area else width * height * 0.53,
        iscrowd=int(entry.get('iscrowd', 0)),
        num_keypoints=number,
    )


def _pose(entry: dict, placed: dict) -> dict:
    """What the evaluation needs of a result."""
    if entry.get('bbox'):
        width, height = entry['bbox'][2:]
    else:
        x, y = entry['keypoints'][0::3], entry['keypoints'][1::3]
        width, height = max(x) - min(x), max(y) - min(y)
    return dict(placed, area=width * height, score=float(entry['score']))


def _dataset(entries: list[dict], images: dict, categories: dict) -> COCO:
    """Entries as faster-coco-eval takes them."""
    for number, entry in enumerate(entries, start=1):
        entry['id'] = number
    return COCO(
        dict(
            images=[dict(id=place) for place in images.values()],
            categories=[dict(id=place) for place in categories.values()],
            annotations=entries,
        )
    )


def _oks_by_image(
    people: list[dict], poses: list[dict], sigmas: np.ndarray
) -> dict[tuple[int, int], np.ndarray]:
    """OKS (D, G) by category and image, best pose first."""
    if not people or not poses:
        return {}

    def joints(entries: list[dict], order: np.ndarray) -> np.ndarray:
        values = [entries[place]['keypoints'] for place in order]
        return np.array(values, float).reshape(-1, len(sigmas), 3)

    groups, places = np.unique(
        [(each['category_id'], each['image_id']) for each in people + poses],
        axis=0,
        return_inverse=True,
    )
    person_group, pose_group = np.split(places.ravel(), [len(people)])
    by_group = np.argsort(person_group, kind='stable')
    counts = np.bincount(person_group, minlength=len(groups))
    best_first = np.lexsort(([-pose['score'] for pose in poses], pose_group))
    sizes = np.bincount(pose_group, minlength=len(groups))
    rank = np.arange(len(poses)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    best_first = best_first[rank < MAX_POSES]
    sizes = np.minimum(sizes, MAX_POSES)

    truth = joints(people, by_group)
    boxes = np.array([people[place]['bbox'] for place in by_group], float)
    areas = np.array([people[place]['area'] for place in by_group], float)
    keypoints = joints(poses, best_first)[..., :2]
    pose, person = pairs_within(
        counts,
        np.cumsum(counts) - counts,
        np.repeat(np.arange(len(groups)), sizes),
    )
    oks = np.zeros(len(pose))
    for start in range(0, len(pose), _PAIRS):
        part = slice(start, start + _PAIRS)
        who = person[part]
        oks[part] = annotated_oks(
            keypoints[pose[part]],
            truth[who, :, :2],
            truth[who, :, 2] > 0,
            boxes[who],
            areas[who],
            sigmas,
        )
    ends = np.cumsum(sizes * counts)
    return {
        tuple(groups[place].tolist()): part.reshape(sizes[place], -1)
        for place, part in enumerate(np.split(oks, ends[:-1]))
        if len(part)
    }


def _mean(values: np.ndarray, area: int = 0) -> float:
    """Mean over all that is defined for an area, -1 if nothing is."""
    values = values[..., area, :]
    values = values[values > -1]
    return float(values.mean()) if len(values) else -1.0
