"""Fit a detector's box errors to annotated poses (section 3.3 of RMPE).

Poses are aligned by their torsos and clustered into atomic poses, and the
offsets of the sides of the matched detections are fitted for each of them.
``tools/fit_pgpg.py`` is the command.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .pgpg_matching import MatchedPeople
from .pgpg_model import (
    NearestAtom,
    OffsetModel,
    PeopleGroup,
    ProposalModel,
    SideMixture,
    align_pose,
    torso_joints,
)

# A hundredth of the box's side, squared. Sides that lie on the image's border
# agree exactly; a mixture without this floor would spend its components on
# them, and clipping to the image brings them back anyway.
MIN_VARIANCE = 1e-4
MAX_ROUNDS = 100
MIN_MATCHES_IN_ALL = 10

# Labels beside those of the atoms.
NO_TORSO, EVERYBODY = -1, -2


def cluster_poses(
    aligned: np.ndarray, visible: np.ndarray, num_atoms: int, seed: int
) -> np.ndarray:
    """Find atomic poses: k-means over poses with missing joints.

    scikit-learn's k-means on poses whose missing joints are the mean ones
    gives the start. Then the missing joints are those of the pose's own
    cluster, until no pose changes its cluster or a hundred rounds are over:
    a pose belongs to the atom that is nearest over its visible joints, as at
    the look-up in training, and an atom's joint is the mean over the poses
    that show it.

    - N: poses
    - K: keypoints
    - A: atomic poses

    Args:
        aligned (np.ndarray): The aligned poses (N, K, 2), 0 where missing
        visible (np.ndarray): Which joints are annotated (N, K), bool
        num_atoms (int): A, at most N
        seed (int): The seed of k-means

    Returns:
        np.ndarray: The atomic poses (A, K, 2), the most frequent first.
    """
    from sklearn.cluster import KMeans

    mean = _joint_means(aligned, visible, np.zeros(aligned.shape[1:]))
    filled = np.where(visible[..., None], aligned, mean)
    kmeans = KMeans(num_atoms, n_init=4, random_state=seed)
    labels = kmeans.fit_predict(filled.reshape(len(filled), -1))
    for _ in range(MAX_ROUNDS):
        atoms = np.stack(
            [
                _joint_means(aligned[own], visible[own], mean)
                for own in (labels == index for index in range(num_atoms))
            ]
        )
        new_labels = _look_up(aligned, visible, atoms)
        if np.array_equal(labels, new_labels):
            break
        labels = new_labels
    counts = np.bincount(labels, minlength=num_atoms)
    return atoms[np.argsort(-counts, kind='stable')]


def _joint_means(
    aligned: np.ndarray, visible: np.ndarray, default: np.ndarray
) -> np.ndarray:
    counts = visible.sum(axis=0)[:, None]
    return np.where(
        counts > 0, aligned.sum(axis=0) / np.maximum(counts, 1), default
    )


def _look_up(
    aligned: np.ndarray, visible: np.ndarray, atoms: np.ndarray
) -> np.ndarray:
    lookup = NearestAtom(atoms)
    return np.array(
        [lookup(p, v) for p, v in zip(aligned, visible, strict=True)], int
    )


def fit_offsets(
    offsets: np.ndarray, max_components: int = 3, seed: int = 0
) -> OffsetModel:
    """Fit a Gaussian and a mixture chosen by BIC to each side's offsets.

    - n: matched people

    Args:
        offsets (np.ndarray): The offsets (n, 4), n at least 2
        max_components (int): The most components to try. Defaults to 3
        seed (int): The seed of the mixtures' start. Defaults to 0

    Returns:
        OffsetModel: The distributions, the heaviest component first.
    """
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


def fit_proposal_model(
    people: MatchedPeople,
    num_atoms: int | None = None,
    candidates: Sequence[int] = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20),
    max_components: int = 3,
    min_matches: int = 60,
    num_folds: int = 5,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> ProposalModel:
    """Cluster the poses and fit the offsets of each atomic pose.

    The number of atoms, where it is not given, is the one whose mixtures
    give held-out people's offsets the largest mean log-likelihood in a
    cross-validation: the atoms are worth what they say about the boxes.

    Args:
        people (MatchedPeople): The people, some of them with offsets
        num_atoms (int | None): The number of atomic poses; None chooses it.
            Defaults to None
        candidates (Sequence): The numbers to choose from. Defaults to
            (1, 2, 3, 4, 6, 8, 10, 12, 16, 20)
        max_components (int): The most components of a side's mixture.
            Defaults to 3
        min_matches (int): An atom with fewer matched people has no offsets
            of its own. Defaults to 60
        num_folds (int): The parts of the cross-validation. Defaults to 5
        seed (int): The seed of clustering, mixtures and parts. Defaults to 0
        report (Callable): Is told the progress. Defaults to nobody

    Returns:
        ProposalModel: The model without provenance.

    Raises:
        ValueError: Where hardly anybody was matched or nobody has a torso.
    """
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
    if num_atoms is not None and not 1 <= num_atoms <= has_torso.sum():
        raise ValueError(
            f'num_atoms={num_atoms}, but {has_torso.sum()} poses have a '
            'torso; take a number from 1 to that'
        )
    aligned = np.stack([pose for pose in poses if pose is not None])
    visible = people.visible[has_torso]

    def cluster(number: int) -> tuple[np.ndarray, np.ndarray]:
        atoms = cluster_poses(aligned, visible, number, seed)
        labels = np.full(len(poses), NO_TORSO)
        labels[has_torso] = _look_up(aligned, visible, atoms)
        return atoms, labels

    def fit(labels: np.ndarray, used: np.ndarray) -> dict[int, OffsetModel]:
        models = {}
        for label in np.unique(labels[used]):
            own = people.offsets[used & (labels == label)]
            if len(own) >= max(min_matches, 2):
                models[int(label)] = fit_offsets(own, max_components, seed)
        models[EVERYBODY] = fit_offsets(
            people.offsets[used], max_components, seed
        )
        return models

    selection: dict[str, Any] = {'criterion': 'given'}
    if num_atoms is None:
        folds = np.random.default_rng(seed).integers(
            num_folds, size=len(matched)
        )
        nobody = np.zeros(len(matched), dtype=int)
        clusters = {
            number: cluster(number)[1]
            for number in candidates
            if number <= len(aligned)
        }
        scores = {}
        for number, labels in {0: nobody, **clusters}.items():
            scores[number] = _held_out_score(
                people.offsets, matched, labels, folds, fit
            )
            report(
                f'{number} atoms: held-out log-likelihood a person '
                f'{scores[number]:.4f}'
            )
        num_atoms = max(clusters, key=scores.get)
        selection = {
            'criterion': 'held-out log-likelihood a person',
            'num_folds': num_folds,
            'scores': {str(n): round(v, 4) for n, v in scores.items()},
        }
    atoms, labels = cluster(num_atoms)
    models = fit(labels, matched)

    def group(label: int) -> PeopleGroup:
        own = (
            np.full(len(labels), True)
            if label == EVERYBODY
            else (labels == label)
        )
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


def _held_out_score(
    offsets: np.ndarray,
    matched: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    fit: Callable[[np.ndarray, np.ndarray], dict[int, OffsetModel]],
) -> float:
    """Mean log-likelihood of matched people under models fitted without."""
    total = 0.0
    for fold in np.unique(folds):
        models = fit(labels, matched & (folds != fold))
        for label in np.unique(labels):
            held_out = offsets[matched & (folds == fold) & (labels == label)]
            model = models.get(int(label), models[EVERYBODY])
            for side, mixture in enumerate(model.mixtures):
                density = mixture.density(held_out[:, side])
                total += np.log(np.maximum(density, 1e-300)).sum()
    return float(total / matched.sum())
