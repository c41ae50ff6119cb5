"""The parameters of the parametric pose NMS, with the published presets."""

import json
import math
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any

from ..files import read_json, write_atomically

_CHOICES = dict(
    box_shape=('circle', 'rectangle'),
    kernel=('laplace', 'gaussian'),
    distance_unit=('box', 'pixel'),
    merge=(None, 'max', 'weighted'),
    rank_by=('keypoint', 'score'),
)
_POSITIVE = ('sigma1', 'sigma2', 'eta', 'alpha', 'match_cap', 'merge_cap')


@dataclass(frozen=True)
class PoseNMSRule:
    r"""When one pose makes another redundant, and how they are merged.

    With the reference pose :math:`P_i` (the more confident one), the
    candidate :math:`P_j`, joint distances :math:`d^n`, joint scores
    :math:`c^n` and the :math:`m` joints that the candidate has, the
    candidate is redundant when

    .. math::
        \frac1m\sum_n \Big(
            \mathbb 1[k_j^n\in B(k_i^n)]
            \tanh\frac{c_i^n}{\sigma_1}\tanh\frac{c_j^n}{\sigma_1}
            + \lambda\, h(d^n)\Big) \ge \eta

    The paper prints the comparison of its eq. 7 the wrong way round: the
    left-hand side grows with the similarity of the poses (eqs. 8-10).

    The published thresholds are for the sum over the joints of one data
    set. They are used here for the mean over the joints, eta / K, so that
    a rule means the same for any number of joints: 22.48 for the 16 joints
    of MPII is 1.405, for the 17 of COCO 1.322.

    Attributes:
        sigma1 (float): Softness of the score of a joint.
        sigma2 (float): Reach of the distance term, in the distance's unit
            (its square for the Gaussian kernel).
        lambda\_ (float): Weight of the distance term.
        eta (float): Threshold on the mean similarity per joint, in
            (0, 1 + lambda\_].
        alpha (float): Size of the matching box B relative to the reference's
            bounding box. The reference distance is
            alpha * max(width, height), at least one pixel. Defaults to 0.1.
        box_shape (str): The matching box: ``'circle'`` with the unit of the
            distances as its radius, the reference distance or one pixel
            (the released code), or ``'rectangle'``
            with the sides alpha * width and alpha * height (the paper).
            Half the side is at least one pixel. Defaults to ``'circle'``.
        kernel (str): The distance term h: ``'laplace'``, exp(-d / sigma2)
            (the released code), or ``'gaussian'``, exp(-d^2 / sigma2) (the
            paper). Defaults to ``'laplace'``.
        distance_unit (str): Unit of the distances d in the similarity:
            ``'box'``, the reference distance, or ``'pixel'``. Defaults to
            ``'box'``.
        match_fraction (float, optional): A candidate is also redundant when
            at least this part of its joints lies within ``match_cap`` and
            the reference distance. Defaults to None (no such rule).
        match_cap (float): Cap of that distance in pixels. Defaults to
            infinity.
        merge (str, optional): What happens to the poses of a cluster: None
            keeps the reference as it is; ``'max'`` and ``'weighted'``
            replace each joint by the score-weighted mean of the joints near
            it, with the highest score or with sum(c^2) / sum(c). Defaults
            to None.
        merge_cap (float): Largest distance of a joint that takes part in
            the mean, in pixels; the reference distance is the other limit.
            Defaults to infinity.
        rank_by (str): What makes a pose the more confident one:
            ``'keypoint'``, the mean of its joint scores (the released
            code), or ``'score'``, the person's score. Defaults to
            ``'keypoint'``.

    Raises:
        ValueError: If a value is outside of its range.
    """

    sigma1: float
    sigma2: float
    lambda_: float
    eta: float
    alpha: float = 0.1
    box_shape: str = 'circle'
    kernel: str = 'laplace'
    distance_unit: str = 'box'
    match_fraction: float | None = None
    match_cap: float = math.inf
    merge: str | None = None
    merge_cap: float = math.inf
    rank_by: str = 'keypoint'

    def __post_init__(self) -> None:
        """Check every value."""
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(
                    f'{name} must be one of {choices}, but got {value!r}'
                )
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ValueError(
                    f'{name} must be positive, but got {getattr(self, name)}'
                )
        if not self.lambda_ >= 0:
            raise ValueError(f'lambda_ is negative: {self.lambda_}')
        if self.match_fraction is not None and self.match_fraction > 1:
            raise ValueError(
                'match_fraction is a part of the joints, at most 1, but got '
                f'{self.match_fraction}: divide a number of joints by how '
                'many a pose has'
            )
        if self.eta > 1 + self.lambda_:
            raise ValueError(
                f'eta is a threshold per joint and can be at most 1 + lambda_ '
                f'= {1 + self.lambda_:g} (two identical poses), but got '
                f'{self.eta:g}: divide a threshold on the sum over the '
                'joints by their number, for example 22.48 / 16 = 1.405'
            )


_MPII = dict(
    sigma1=0.01,
    sigma2=2.08,
    lambda_=2.08,
    eta=22.48 / 16,
    merge='max',
)
_COCO = dict(
    sigma1=1.0,
    sigma2=2.65,
    lambda_=1.7,
    eta=22.48 / 17,
    match_fraction=5 / 17,
    match_cap=7.0,
    merge='weighted',
    merge_cap=15.0,
)
PRESETS: dict[str, dict[str, Any]] = dict(
    # the authors' evaluation on MPII
    mpii=_MPII,
    # the authors' later rule for COCO, without its shift of the result
    coco=_COCO,
    # learned by tools/learn_pose_nms.py on photographs with redundant boxes,
    # from the rule above: without that of matching joints, of which the five
    # of a face suffice, and ranked by the person's score
    learned=dict(
        sigma1=1.0,
        sigma2=2.65,
        lambda_=3.961,
        eta=2.745,
        merge='weighted',
        merge_cap=15.0,
        rank_by='score',
    ),
    # eqs. 7-10; the paper names no values: those released for MPII, and
    # distances in the same unit, in which they make sense
    paper=dict(_MPII, box_shape='rectangle', kernel='gaussian', merge=None),
    # the rule of the later ports, which lost the division by the size of
    # the box: what suppresses there is the number of matching joints
    alphapose=dict(_COCO, distance_unit='pixel'),
)


def make_rule(preset: str | None = None, **overrides: Any) -> PoseNMSRule:
    """One of :data:`PRESETS` with some of its parameters replaced.

    Without a preset the four learned parameters must be among ``overrides``.

    Raises:
        ValueError: If the preset is unknown or a value is out of range.
        TypeError: If a parameter is unknown or one without default missing.
    """
    if preset is not None and preset not in PRESETS:
        raise ValueError(
            f'preset must be one of {sorted(PRESETS)}, but got {preset!r}'
        )
    return PoseNMSRule(**{**PRESETS.get(preset, {}), **overrides})


FORMAT = 'rmpe_spm.pose_nms'
VERSION = 1


def save_rule(
    path: str | PathLike, rule: PoseNMSRule, provenance: dict[str, Any]
) -> None:
    """Write a rule as JSON, with what it was learned from.

    ``provenance`` says that: data, command, date, counts. JSON has no
    infinity: a cap that is infinite, its default, is left out.
    """
    content = dict(format=FORMAT, version=VERSION, provenance=provenance)
    content['parameters'] = {
        name: value
        for name, value in asdict(rule).items()
        if value != math.inf
    }
    write_atomically(path, json.dumps(content, indent=2) + '\n')


def load_rule(path: str | PathLike) -> PoseNMSRule:
    """Read a rule written by :func:`save_rule`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, of a later version, or has a
            value that is out of range.
    """
    try:
        content = read_json(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{error}: tools/learn_pose_nms.py writes one'
        ) from None
    try:
        kind = content['format'], content['version']
        if kind != (FORMAT, VERSION):
            raise ValueError(f'{kind} is not {(FORMAT, VERSION)}')
        return make_rule(**content['parameters'])
    except (KeyError, TypeError, ValueError) as error:
        reason = f'no entry {error}' if type(error) is KeyError else error
        raise ValueError(
            f'{path} is no file of tools/learn_pose_nms.py: {reason}'
        ) from error
