import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms.utils import cache_random_params
from pgpg_models import LYING, UPRIGHT, proposal_model

from rmpe_spm.rmpe.pgpg_model import save_proposal_model
from rmpe_spm.rmpe.pgpg_transform import PGPGTransform
from rmpe_spm.rmpe.proposals import bbox_iou, bbox_offsets, is_usable_bbox

MODEL = proposal_model()
MODES = ['gmm_atomic', 'gaussian_atomic', 'global_gaussian', 'jitter']
# Far from every border of this image, so that nothing is clipped.
BOX = np.array([[2000, 3000, 2100, 3200]], np.float32)
IMG_SHAPE = (6000, 5000)


@pytest.fixture(scope='module')
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp('pgpg') / 'model.json'
    save_proposal_model(MODEL, path)
    return str(path)


def make(mode, model_file, **kwargs):
    if mode.endswith('atomic'):
        kwargs['model'] = model_file
    return PGPGTransform(mode=mode, **kwargs)


def make_results(pose=UPRIGHT, bbox=BOX, img_shape=IMG_SHAPE, **changes):
    results = dict(
        img_id=7,
        id=70,
        img_shape=img_shape,
        bbox=np.array(bbox, np.float32),
        bbox_score=np.ones(1, np.float32),
        keypoints=(pose[None] * 80 + [2050, 3100]).astype(np.float32),
        keypoints_visible=np.ones((1, len(pose)), np.float32),
    )
    return results | changes


def sample(transform, num, seed=0, **kwargs):
    """Offsets (n, 4) of Gaussian samples and those of the patches."""
    np.random.seed(seed)  # noqa: NPY002
    offsets = {'gaussian': [], 'patch': [], 'jitter': []}
    for _ in range(num):
        results = transform(make_results(**kwargs))
        offsets[results['proposal_kind']].append(
            bbox_offsets(BOX[0].tolist(), results['bbox'][0].tolist())
        )
    return {kind: np.array(values) for kind, values in offsets.items()}


def assert_moments(samples, mean, std):
    """Within five standard errors of independent normal samples' (N, D)."""
    num, sides = samples.shape
    std = np.broadcast_to(std, sides)
    assert (np.abs(samples.mean(0) - mean) < 5 * std / np.sqrt(num)).all()
    covariance = np.diag(std**2)
    error = np.abs(np.cov(samples.T) - covariance)
    bound = np.sqrt((np.outer(std, std) ** 2 + covariance**2) / num)
    assert (error < 5 * bound).all()


def assert_share(found, expected, num):
    assert abs(found - expected) < 5 * np.sqrt(expected * (1 - expected) / num)


def test_global_gaussian_has_the_published_moments():
    samples = sample(PGPGTransform('global_gaussian'), 8000)
    mean = [-0.0142, 0.0043, 0.0154, -0.0013]
    std = [0.1158, 0.068, 0.1337, 0.0711]
    assert_moments(samples['gaussian'], mean, std)
    assert_share(len(samples['patch']) / 8000, 0.15, 8000)


@pytest.mark.parametrize(('pose', 'centre'), [(UPRIGHT, 0.1), (LYING, -0.1)])
def test_gaussian_atomic_has_the_moments_of_the_atom(model_file, pose, centre):
    transform = PGPGTransform('gaussian_atomic', model_file)
    samples = sample(transform, 4000, pose=pose)
    assert_moments(samples['gaussian'], centre, [0.01, 0.02, 0.03, 0.04])
    assert_share(len(samples['patch']) / 4000, 0.3, 4000)


@pytest.mark.parametrize(('pose', 'index'), [(UPRIGHT, 0), (LYING, 1)])
def test_gmm_atomic_has_the_moments_of_the_atom(model_file, pose, index):
    transform = PGPGTransform('gmm_atomic', model_file)
    samples = sample(transform, 4000, pose=pose)['gaussian']
    assert len(samples) == 4000  # no patches in the paper's form
    mixtures = MODEL.atom_groups[index].offsets.mixtures
    for side, mixture in enumerate(mixtures):
        is_first = samples[:, side] < np.mean(mixture.means)
        assert_share(is_first.mean(), mixture.weights[0], 4000)
        for k, own in enumerate((is_first, ~is_first)):
            chosen = samples[own, side, None]
            assert_moments(chosen, mixture.means[k], mixture.stds[k])
    # The sides are drawn independently.
    correlation = np.corrcoef(samples.T) - np.eye(4)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)


@pytest.mark.parametrize(
    'visible',
    [
        np.array([[1, 1, 1, 0, 0]]),
        # with weights, as mmpose's KeypointConverter gives them
        np.stack([[[1, 1, 1, 0, 0]], [[1, 1, 1, 1, 1]]], axis=-1),
    ],
    ids=['flags', 'weighted'],
)
def test_people_without_a_torso_have_their_own_boxes(model_file, visible):
    transform = PGPGTransform('gaussian_atomic', model_file, patch_prob=0)
    samples = sample(transform, 500, keypoints_visible=visible)['gaussian']
    error = np.abs(samples.mean(axis=0) - 0.2)
    assert (error < 5 * 0.04 / np.sqrt(500)).all()


def test_patches_are_uniform_parts_of_the_box():
    offsets = sample(PGPGTransform('global_gaussian', patch_prob=1.0), 3000)
    assert len(offsets['patch']) == 3000
    x0, y0, x1, y1 = offsets['patch'].T
    width, height = 1 + x1 - x0, 1 + y1 - y0
    np.testing.assert_allclose(width, height, atol=1e-4)
    assert width.min() >= 0.7 - 1e-5 and width.max() <= 1 + 1e-5
    assert abs(width.mean() - 0.85) < 5 * 0.3 / np.sqrt(12 * 3000)
    room = 1 - width
    clear = room > 0.02
    for start in (x0, y0):
        place = start[clear] / room[clear]
        assert place.min() > -0.01 and place.max() < 1.01
        assert abs(place.mean() - 0.5) < 5 / np.sqrt(12 * clear.sum())


@pytest.mark.parametrize('mode', MODES)
def test_clean_box_and_kind(model_file, mode):
    transform = make(mode, model_file, patch_prob=0.5)
    np.random.seed(0)  # noqa: NPY002
    kinds = set()
    for _ in range(30):
        given = make_results()
        before = given['bbox']
        results = transform(given)
        bbox, clean = results['bbox'], results['clean_bbox']
        assert bbox.dtype == clean.dtype == np.float32
        assert bbox.shape == (1, 4) and bbox is not clean
        assert not np.array_equal(bbox, BOX)
        np.testing.assert_array_equal(before, BOX)  # not changed in place
        kinds.add(results['proposal_kind'])
        patch = results['proposal_kind'] == 'patch'
        np.testing.assert_array_equal(clean, bbox if patch else BOX)
    assert kinds == {'patch', 'jitter' if mode == 'jitter' else 'gaussian'}


@pytest.mark.parametrize('mode', MODES)
def test_same_seed_same_box(model_file, mode):
    boxes = []
    for seed in (3, 3, 4):
        np.random.seed(seed)  # noqa: NPY002
        transform = make(mode, model_file)
        boxes.append(transform(make_results())['bbox'])
    np.testing.assert_array_equal(boxes[0], boxes[1])
    assert not np.array_equal(boxes[0], boxes[2])
    # and several inputs of one sample may share what was drawn
    with cache_random_params(transform):
        first, second = (transform(make_results())['bbox'] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_prob_leaves_boxes_alone():
    transform = PGPGTransform('global_gaussian', prob=0.25)
    np.random.seed(0)  # noqa: NPY002
    changed = 0
    for _ in range(2000):
        results = transform(make_results())
        is_clean = results['proposal_kind'] == 'clean'
        assert np.array_equal(results['bbox'], BOX) == is_clean
        assert 'clean_bbox' in results
        changed += not is_clean
    assert_share(changed / 2000, 0.25, 2000)
    never = PGPGTransform('jitter', prob=0.0)
    kinds = {never(make_results())['proposal_kind'] for _ in range(50)}
    assert kinds == {'clean'}


def test_jitter_keeps_the_iou():
    transform = PGPGTransform('jitter', min_iou=0.6, jitter_range=0.4)
    offsets = sample(transform, 1500)['jitter']
    assert len(offsets) == 1500
    assert np.abs(offsets).max() < 0.4 + 1e-5
    boxes = BOX + offsets * [100, 200, 100, 200]
    ious = [bbox_iou(BOX[0].tolist(), box) for box in boxes.tolist()]
    assert min(ious) > 0.6 - 1e-4
    # It uses the room that it has, on both sides.
    assert min(ious) < 0.62
    assert (offsets.max(axis=0) > 0.3).all()
    assert (offsets.min(axis=0) < -0.3).all()


def test_jitter_that_cannot_succeed_keeps_the_box():
    transform = PGPGTransform('jitter', min_iou=1.0)
    np.testing.assert_array_equal(transform(make_results())['bbox'], BOX)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(MODES),
    st.integers(0, 10**6),
    st.tuples(st.integers(2, 90), st.integers(2, 90)),
    st.tuples(*[st.floats(-60, 150, width=32)] * 4),
    st.floats(0.5, 20),
)
def test_boxes_stay_in_the_image(
    model_file, mode, seed, img_shape, corners, min_side
):
    x, y = sorted(corners[:2]), sorted(corners[2:])
    bbox = np.array([[x[0], y[0], x[1], y[1]]], np.float32)
    transform = make(mode, model_file, min_side=min_side, patch_prob=0.3)
    np.random.seed(seed)  # noqa: NPY002
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        results = transform(make_results(bbox=bbox, img_shape=img_shape))
    height, width = img_shape
    assert (results is not None) == is_usable_bbox(
        bbox[0].tolist(), img_shape[::-1]
    )
    if results is None:
        return
    x0, y0, x1, y1 = results['bbox'][0].tolist()
    assert 0 <= x0 < x1 <= width - 1
    assert 0 <= y0 < y1 <= height - 1
    assert x1 - x0 >= min(min_side, width - 1) - 1e-3
    assert y1 - y0 >= min(min_side, height - 1) - 1e-3


@pytest.mark.parametrize('size', [np.float16(6e4), np.float64(1e30)])
def test_boxes_of_half_precision_or_huge_stay_finite(size):
    bbox = np.array([[0, 0, size, size]], size.dtype)
    out = make('jitter', None)(make_results() | dict(bbox=bbox))
    assert np.isfinite(out['clean_bbox']).all()
    assert np.isfinite(out['bbox']).all()


def test_a_box_beyond_float32_is_skipped():
    results = make_results() | dict(bbox=np.array([[0, 0, 1e39, 10]]))
    with (
        np.errstate(over='ignore'),
        pytest.warns(UserWarning, match='not finite'),
    ):
        assert make('jitter', None)(results) is None


def test_unusable_box_is_skipped_with_one_warning():
    bbox = [[10, 20, np.nan, 40]]
    transform = PGPGTransform('global_gaussian')
    with pytest.warns(UserWarning, match='annotation 70 in image 7 ') as got:
        assert transform(make_results(bbox=bbox)) is None
        assert transform(make_results(bbox=bbox)) is None
    assert len(got) == 1


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(bbox=np.ones((2, 4))), r'image 7 has shape \(2, 4\)'),
        (dict(flip=True), 'RandomFlip after PGPGTransform'),
        (dict(pose=UPRIGHT[:3]), 'image 7 has poses of 3 keypoints'),
    ],
)
def test_wrong_samples_are_refused(model_file, changes, message):
    transform = PGPGTransform('gmm_atomic', model_file)
    with pytest.raises(ValueError, match=message):
        transform(make_results(**changes))


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(mode='gaussian'), "mode='gaussian' is none of"),
        (dict(mode='gmm_atomic'), 'need a fitted file.*fit_pgpg'),
        (dict(mode='gaussian_atomic'), 'need a fitted file'),
        (dict(mode='jitter', model='a.json'), "with model='a.json'"),
        (dict(mode='jitter', prob=1.5), r'prob=1.5 is not in \[0, 1\]'),
        (dict(mode='jitter', patch_prob=-1), 'patch_prob=-1'),
        (dict(mode='jitter', min_iou=2), 'min_iou=2'),
        (dict(mode='jitter', min_side=0), 'min_side=0 is not positive'),
        (dict(mode='jitter', jitter_range=-1), 'jitter_range=-1'),
    ],
)
def test_wrong_arguments_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        PGPGTransform(**kwargs)


def test_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r'no/such\.json'):
        PGPGTransform('gmm_atomic', model='no/such.json')


def test_the_fitted_file_of_the_checkout(tmp_path, monkeypatch):
    """It is found from any folder, and knows a sitting person."""
    monkeypatch.chdir(tmp_path)
    path = 'configs/rmpe/_base_/pgpg/coco_mini_yolox-nano.json'
    model = PGPGTransform('gmm_atomic', path)._proposal_model
    assert len(model.keypoint_names) == 17
    for index, pose in enumerate(model.atoms):
        assert model.atom_index(pose * 40, np.ones(17, bool)) == index
