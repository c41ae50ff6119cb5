"""Fit a proposal model to a detector's boxes (section 3.3 of RMPE).

A detector's results are matched with annotated people, the boxes of both
clipped to the image as mmpose's data sets clip them. Poses are aligned by
their torsos and clustered into atoms, and the offsets of the matched
detections' sides are fitted for each of them.
"""

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .pgpg_model import (
    OffsetModel,
    PeopleGroup,
    ProposalModel,
    SideMixture,
    align_pose,
    cluster_poses,
    look_up_atoms,
    torso_joints,
)
from .proposals import bbox_offsets, is_usable_bbox


@dataclass
class MatchedPeople:
    """N annotated people and the offsets of their detected boxes."""

    keypoint_names: list[str]  # of the K joints
    keypoints: np.ndarray  # (N, K, 2), in pixels
    visible: np.ndarray  # (N, K), bool: which are annotated
    offsets: np.ndarray  # (N, 4), of the matched detection, else NaN
    counts: dict[str, int] = field(default_factory=dict)  # and left out why


def match_people(
    annotations: dict[str, Any],
    detections: list[dict[str, Any]],
    min_iou: float = 0.5,
    score_thr: float = 0.1,
) -> MatchedPeople:
    """Match a detector's results with the people of COCO annotations.

    Both in COCO's layout, checked by whoever read them. Crowd regions take
    no part. People without keypoints are matched, so that their detections do
    not go to a neighbour, and left out then.
    """
    category = next(c for c in annotations['categories'] if 'keypoints' in c)
    names = category['keypoints']
    images = annotations['images']
    sizes = {each['id']: (each['width'], each['height']) for each in images}
    people = {image_id: [] for image_id in sizes}
    for annotation in annotations['annotations']:
        is_person = annotation['category_id'] == category['id']
        if is_person and not annotation.get('iscrowd', 0):
            people.get(annotation['image_id'], []).append(annotation)
    counts = Counter(
        images=len(sizes),
        people=sum(map(len, people.values())),
        detections=len(detections),
        matched_people=0,
    )
    detected = _group_detections(detections, sizes, score_thr, counts)
    keypoints, visible, offsets = [], [], []
    for image_id, members in people.items():
        usable = []
        for person in members:
            box = clip_to_image(person['bbox'], sizes[image_id])
            if is_usable_bbox(box, sizes[image_id]):
                usable.append((person, box))
            else:
                counts['people_with_unusable_boxes'] += 1
        boxes_and_scores = np.array(detected[image_id]).reshape(-1, 5)
        matches = match_detections(
            np.array([box for _, box in usable]).reshape(-1, 4),
            boxes_and_scores[:, :4],
            boxes_and_scores[:, 4],
            min_iou,
        )
        for (person, box), match in zip(usable, matches, strict=True):
            pose = np.array(person.get('keypoints', []), dtype=np.float64)
            pose = pose.reshape(-1, 3)
            if not (pose[:, 2] > 0).any():
                counts['people_without_keypoints'] += 1
                continue
            keypoints.append(pose[:, :2])
            visible.append(pose[:, 2] > 0)
            if match < 0:
                offsets.append((np.nan,) * 4)
            else:
                counts['matched_people'] += 1
                offsets.append(bbox_offsets(box, boxes_and_scores[match, :4]))
    return MatchedPeople(
        keypoint_names=names,
        keypoints=np.array(keypoints).reshape(-1, len(names), 2),
        visible=np.array(visible, dtype=bool).reshape(-1, len(names)),
        offsets=np.array(offsets).reshape(-1, 4),
        counts=dict(counts),
    )


def _group_detections(
    detections: list[dict[str, Any]],
    sizes: dict,
    score_thr: float,
    counts: Counter,
) -> dict[int, list]:
    """Boxes (xyxy, clipped) and score of each image; counts the rest."""
    grouped = defaultdict(list)
    for detection in detections:
        image_id, score = detection['image_id'], detection['score']
        if image_id not in sizes:
            counts['detections_of_unlisted_images'] += 1
        elif score < score_thr:
            counts['detections_below_score'] += 1
        else:
            box = clip_to_image(detection['bbox'], sizes[image_id])
            if is_usable_bbox(box, sizes[image_id]):
                grouped[image_id].append((*box, score))
            else:
                counts['detections_with_unusable_boxes'] += 1
    return grouped


def clip_to_image(
    bbox_xywh: Sequence[float], image_size: tuple[int, int]
) -> tuple[float, ...]:
    """Clip a box in COCO's xywh as mmpose's data sets do, to xyxy."""
    x, y, w, h = bbox_xywh
    limits = (image_size[0] - 1, image_size[1] - 1) * 2
    # Not min and max, which lose a NaN.
    return tuple(np.clip((x, y, x + w, y + h), 0, limits).tolist())


def match_detections(
    bboxes_xyxy: np.ndarray,
    detections_xyxy: np.ndarray,
    scores: np.ndarray,
    min_iou: float = 0.5,
) -> np.ndarray:
    """Match detections (M, 4) with boxes (N, 4) one to one: (N,), or -1.

    Each detection in the order of its score takes the annotated box with
    which it has the largest IoU among those that are still free, as COCO's
    evaluation does. An assignment of the largest total IoU would take the
    best placed of several redundant boxes, which makes the detector look
    better than the boxes that it puts forward.
    """
    matches = np.full(len(bboxes_xyxy), -1)
    if not len(bboxes_xyxy) or not len(detections_xyxy):
        return matches
    ious = pairwise_iou(detections_xyxy, bboxes_xyxy)
    for index in np.argsort(-np.asarray(scores), kind='stable'):
        free_ious = np.where(matches < 0, ious[index], -1.0)
        best = free_ious.argmax()
        if free_ious[best] >= min_iou:
            matches[best] = index
    return matches


def pairwise_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the IoU (N, M) of boxes (N, 4) and (M, 4), xyxy, none empty."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    inner = np.clip(high - low, 0, None).prod(axis=2)
    first_area = np.prod(first[:, 2:] - first[:, :2], axis=1)
    second_area = np.prod(second[:, 2:] - second[:, :2], axis=1)
    return inner / (first_area[:, None] + second_area[None] - inner)


# A hundredth of the box's side, squared. Sides that lie on the image's border
# agree exactly; a mixture without this floor would spend its components on
# them, and clipping to the image brings them back anyway.
MIN_VARIANCE = 1e-4
MIN_MATCHES_IN_ALL = 10
NUM_FOLDS = 5

# Labels beside those of the atoms.
NO_TORSO, EVERYBODY = -1, -2


@dataclass(frozen=True)
class FitSettings:
    """How a proposal model is fitted."""

    # None: of the candidates the one whose mixtures give held-out people's
    # offsets the largest mean log-likelihood, in a cross-validation: the
    # atoms are worth what they say about the boxes.
    num_atoms: int | None = None
    candidates: Sequence[int] = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20)
    max_components: int = 3  # of a side's mixture, chosen by BIC
    min_matches: int = 60  # of an atom that has offsets of its own
    seed: int = 0  # of clustering, mixtures and cross-validation


def fit_proposal_model(
    people: MatchedPeople,
    settings: FitSettings | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> ProposalModel:
    """Cluster the poses and fit the offsets of each atom.

    Raises:
        ValueError: If hardly anybody was matched or has a torso.
    """
    settings = settings or FitSettings()
    matched = ~np.isnan(people.offsets[:, 0])
    if matched.sum() < MIN_MATCHES_IN_ALL:
        raise ValueError(
            f'only {matched.sum()} of {len(matched)} people with keypoints '
            f'have a matching detection, {MIN_MATCHES_IN_ALL} are needed. '
            'Are the image ids, the category, the box format (xywh) and the '
            f'score threshold right? Counts: {people.counts}'
        )
    shoulders, hips = torso_joints(people.keypoint_names)
    poses = [
        align_pose(pose, show, shoulders, hips)
        for pose, show in zip(people.keypoints, people.visible, strict=True)
    ]
    has_torso = np.array([pose is not None for pose in poses])
    if not has_torso.any():
        raise ValueError(
            'no annotated person has both a shoulder and a hip: poses '
            'cannot be aligned by their torsos'
        )
    aligned = np.stack([pose for pose in poses if pose is not None])
    visible = people.visible[has_torso]

    def cluster(number: int) -> tuple[np.ndarray, np.ndarray]:
        atoms = cluster_poses(aligned, visible, number, settings.seed)
        labels = np.full(len(poses), NO_TORSO)
        labels[has_torso] = look_up_atoms(aligned, visible, atoms)
        return atoms, labels

    selection: dict[str, Any] = {'criterion': 'given'}
    num_atoms = settings.num_atoms
    if num_atoms is None:
        candidates = [n for n in settings.candidates if n <= len(aligned)]
        labels = {number: cluster(number)[1] for number in candidates}
        nobody = np.zeros(len(matched), dtype=int)
        scores = {}
        for number, own in {0: nobody, **labels}.items():
            scores[number] = _held_out_score(people.offsets, own, settings)
            report(
                f'{number} atoms: held-out log-likelihood a person '
                f'{scores[number]:.4f}'
            )
        num_atoms = max(candidates, key=scores.get)
        selection = {
            'criterion': 'held-out log-likelihood a person',
            'num_folds': NUM_FOLDS,
            'scores': {str(n): round(v, 4) for n, v in scores.items()},
        }
    atoms, labels = cluster(num_atoms)
    models = _fit_groups(people.offsets, labels, matched, settings)

    def group(label: int) -> PeopleGroup:
        own = (labels == label) | (label == EVERYBODY)
        return PeopleGroup(
            int(own.sum()), int((own & matched).sum()), models.get(label)
        )

    return ProposalModel(
        keypoint_names=people.keypoint_names,
        atoms=atoms,
        atom_groups=[group(label) for label in range(num_atoms)],
        no_torso=group(NO_TORSO),
        everybody=group(EVERYBODY),
        atom_selection=selection,
    )


def fit_offsets(
    offsets: np.ndarray, max_components: int = 3, seed: int = 0
) -> OffsetModel:
    """Fit a Gaussian and a mixture chosen by BIC to offsets (N, 4), N > 1."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixtures = []
    for side in range(4):
        values = offsets[:, side : side + 1]
        candidates = []
        with warnings.catch_warnings():
            # Fewer different offsets than components: BIC refuses those.
            warnings.simplefilter('ignore', ConvergenceWarning)
            for number in range(1, min(max_components, len(values)) + 1):
                mixture = GaussianMixture(
                    number, reg_covar=MIN_VARIANCE, random_state=seed
                )
                candidates.append(mixture.fit(values))
        best = min(candidates, key=lambda mixture: mixture.bic(values))
        order = np.argsort(-best.weights_, kind='stable')
        mixtures.append(
            SideMixture(
                weights=best.weights_[order].tolist(),
                means=best.means_[order, 0].tolist(),
                stds=np.sqrt(best.covariances_[order, 0, 0]).tolist(),
            )
        )
    return OffsetModel(
        mean=offsets.mean(axis=0).tolist(),
        std=offsets.std(axis=0).tolist(),
        mixtures=mixtures,
    )


def _fit_groups(
    offsets: np.ndarray,
    labels: np.ndarray,
    used: np.ndarray,
    settings: FitSettings,
) -> dict[int, OffsetModel]:
    """Fit everybody's offsets and those of each label with enough people."""
    groups = {EVERYBODY: offsets[used]}
    for label in np.unique(labels[used]):
        own = offsets[used & (labels == label)]
        if len(own) >= max(settings.min_matches, 2):
            groups[int(label)] = own
    return {
        label: fit_offsets(own, settings.max_components, settings.seed)
        for label, own in groups.items()
    }


def _held_out_score(
    offsets: np.ndarray, labels: np.ndarray, settings: FitSettings
) -> float:
    """Mean log-likelihood of matched people under models fitted without."""
    matched = ~np.isnan(offsets[:, 0])
    rng = np.random.default_rng(settings.seed)
    folds = rng.integers(NUM_FOLDS, size=len(offsets))
    total = 0.0
    for fold in np.unique(folds):
        models = _fit_groups(
            offsets, labels, matched & (folds != fold), settings
        )
        for label in np.unique(labels):
            held_out = offsets[matched & (folds == fold) & (labels == label)]
            model = models.get(int(label), models[EVERYBODY])
            for side, mixture in enumerate(model.mixtures):
                density = mixture.density(held_out[:, side])
                total += np.log(np.maximum(density, 1e-300)).sum()
    return float(total / matched.sum())
