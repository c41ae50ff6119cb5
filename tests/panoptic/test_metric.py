"""3D-PCK and the errors in millimetres, beside loops."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpose.registry import METRICS

from rmpe_spm.errors import ConfigError

NAMES = dict(left_hip=0, right_hip=1, knee=2, nose=3)


def evaluate(*pictures, **options):
    """Pictures of (found, people, labelled), poses u, v, X, Y, Z (N, K, 5)."""
    metric = METRICS.build(dict(type='MultiPersonPCK3D', **options))
    metric.dataset_meta = dict(keypoint_name2id=NAMES)
    samples = []
    for found, people, labelled in pictures:
        samples.append(
            dict(
                img_path='a.jpg',
                pred_instances=dict(
                    keypoints=found[..., :2], keypoints_3d=found[..., 2:]
                ),
                gt_instances=dict(
                    keypoints=people[..., :2],
                    keypoints_cam=people[..., 2:],
                    keypoints_visible=labelled,
                ),
            )
        )
    metric.process(None, samples)
    results = metric.evaluate(len(samples))
    return {key.removeprefix('panoptic/'): v for key, v in results.items()}


def person(place=(100.0, 100.0), depth=2000.0):
    joints = np.array([[-5.0, 0], [5, 0], [5, 40], [0, -60]])
    space = np.c_[joints * 20, np.zeros(4)] + (*np.array(place) * 10, depth)
    return np.c_[joints + place, space]


def test_perfect_and_shifted_people():
    people = np.stack([person(), person((300, 90), 4000)])
    labelled = np.ones((2, 4))
    perfect = evaluate((people[::-1], people, labelled))
    assert perfect['recall'] == perfect['PCK3D'] == perfect['PCK3D_abs'] == 1
    assert perfect['MPJPE'] == perfect['MPJPE_abs'] == 0
    assert perfect['root_error'] == 0 and perfect['root_depth'] == 1
    shifted = people.copy()
    shifted[0, :, 2:] += (0, 300, 400)  # 500 mm, a fifth of the depth
    shifted[1, 3, 2:] += (0, 0, 200)  # the nose alone
    found = evaluate((shifted, people, labelled))
    assert found['PCK3D'] == 7 / 8 and found['PCK3D_abs'] == 3 / 8
    assert found['MPJPE'] == pytest.approx(200 / 8)
    assert found['MPJPE_abs'] == pytest.approx((4 * 500 + 200) / 8)
    assert found['root_error'] == pytest.approx(250)
    assert found['root_depth'] == 0.5
    assert evaluate((shifted, people, labelled), thr=201)['PCK3D'] == 1


def test_who_is_not_found_and_who_is_nobody():
    people = np.stack([person(), person((300, 90))])
    labelled = np.ones((2, 4))
    labelled[1, 2] = 0
    none = people[:0], people, labelled
    away = np.stack([person(), person((700, 90))]), people, labelled
    found = evaluate(away, (people, people[:0], labelled[:0]))
    assert found['recall'] == 0.5 and found['PCK3D_matched'] == 1
    assert found['PCK3D'] == 4 / 7
    nothing = evaluate(none)
    assert nothing['recall'] == nothing['PCK3D'] == 0
    assert math.isnan(nothing['MPJPE'])
    # unknown places don't count, nor do people without any
    people[0, 3, 2:] = np.nan
    people[1, :, 4] = np.nan
    found = evaluate((np.nan_to_num(people), people, labelled))
    assert found['recall'] == found['PCK3D'] == 1


def looped(pictures, thr=150.0, match_thr=0.25):
    aligned, absolute, roots, depths = [], [], [], []
    num_people = num_joints = 0
    for found, people, labelled in pictures:
        joints = [
            [
                k
                for k in range(4)
                if labelled[n, k] > 0 and np.isfinite(people[n, k, 2:]).all()
            ]
            for n in range(len(people))
        ]
        free = {n for n in range(len(people)) if joints[n]}
        num_people += len(free)
        num_joints += sum(map(len, joints))
        left = set(range(len(found)))
        while True:
            best = None
            for m in left:
                for n in free:
                    own = joints[n]
                    spot = people[n, own, :2]
                    size = max(math.dist(spot.min(0), spot.max(0)), 1)
                    distance = np.mean(
                        [math.dist(found[m, k, :2], people[n, k, :2])
                         for k in own]
                    ) / size  # fmt: skip
                    if distance <= match_thr and (
                        best is None or distance < best[0]
                    ):
                        best = distance, m, n
            if best is None:
                break
            _, m, n = best
            left.remove(m)
            free.remove(n)
            own = joints[n]
            hips = [0, 1] if {0, 1} <= set(own) else own
            shift = found[m, hips, 2:].mean(0) - people[n, hips, 2:].mean(0)
            for k in own:
                error = found[m, k, 2:] - people[n, k, 2:]
                absolute.append(math.hypot(*error))
                aligned.append(math.hypot(*(error - shift)))
            roots.append(math.hypot(*shift))
            depths.append(abs(shift[2]) / people[n, hips, 4].mean())

    def mean(values):
        return float(np.mean(values)) if len(values) else math.nan

    def share(values, total):
        return float(np.sum(values) / total) if total else math.nan

    near = np.array(aligned) <= thr
    return {
        'recall': share(len(roots), num_people),
        'PCK3D': share(near, num_joints),
        'PCK3D_matched': mean(near),
        'PCK3D_abs': share(np.array(absolute) <= thr, num_joints),
        'MPJPE': mean(aligned),
        'MPJPE_abs': mean(absolute),
        'root_error': mean(roots),
        'root_depth': mean(np.array(depths) <= 0.1),
    }


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_numbers_are_those_of_the_loops(seed):
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(rng.integers(1, 4)):
        people = np.zeros((rng.integers(0, 4), 4, 5))
        for own in people:
            own[:] = person(rng.uniform(50, 250, 2), rng.uniform(1e3, 5e3))
        found = people[rng.permutation(len(people))][: rng.integers(0, 5)]
        found = np.concatenate((found, people[: rng.integers(0, 2)]))
        noise = rng.choice([1.0, 10, 30])
        found = found + rng.normal(0, noise, found.shape) * (1, 1, 9, 9, 9)
        people[rng.random(people.shape[:2]) < 0.1, 2] = np.nan
        labelled = (rng.random(people.shape[:2]) < 0.8).astype(np.float32)
        pictures.append((found, people, labelled))
    results, expected = evaluate(*pictures), looped(pictures)
    assert set(results) == set(expected)
    for key, value in expected.items():
        assert results[key] == pytest.approx(value, nan_ok=True), key


@pytest.mark.parametrize(
    ('fields', 'key', 'message'),
    [
        ('pred_instances', 'keypoints_3d', "keypoints_3d: .*'camera' in meta"),
        ('gt_instances', 'keypoints_cam', 'keypoints_cam'),
    ],
)
def test_what_is_missing_is_named(fields, key, message):
    metric = METRICS.build(dict(type='MultiPersonPCK3D'))
    whole = {
        name: dict(
            keypoints=np.zeros((0, 4, 2)),
            keypoints_3d=np.zeros((0, 4, 3)),
            keypoints_cam=np.zeros((0, 4, 3)),
            keypoints_visible=np.zeros((0, 4)),
        )
        for name in ('pred_instances', 'gt_instances')
    }
    del whole[fields][key]
    with pytest.raises(ConfigError, match=message):
        metric.process(None, [dict(img_path='a.jpg', **whole)])
