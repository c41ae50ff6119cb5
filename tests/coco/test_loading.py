import resource
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from rmpe_spm.coco import loading
from rmpe_spm.coco.loading import LoadImageOrSkip, SanitizeInstances
from rmpe_spm.errors import ConfigError

TRAINING = SimpleNamespace(test_mode=False, data_mode='topdown')
TEST = SimpleNamespace(test_mode=True, data_mode='topdown')
BOTTOM_UP = SimpleNamespace(test_mode=False, data_mode='bottomup')


@pytest.fixture
def log(logged):
    return logged(loading)


@pytest.fixture(params=['missing', 'empty', 'text', 'folder', 'cut'])
def unreadable(request, tmp_path):
    path = tmp_path / 'image.png'
    if request.param == 'empty':
        path.write_bytes(b'')
    elif request.param == 'text':
        path.write_text('not an image')
    elif request.param == 'folder':
        path.mkdir()
    elif request.param == 'cut':
        whole = cv2.imencode('.png', np.zeros((9, 9, 3), np.uint8))[1]
        path.write_bytes(whole.tobytes()[:30])
    return path


def test_readable_image_is_loaded(tmp_path):
    """And an array that is given is kept."""
    path = tmp_path / 'image.png'
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    cv2.imwrite(str(path), pixels)
    results = LoadImageOrSkip()(dict(img_path=str(path), dataset=TRAINING))
    np.testing.assert_array_equal(results['img'], pixels)
    assert results['img_shape'] == (5, 7)
    results = LoadImageOrSkip(to_float32=True)(dict(img=pixels))
    assert results['img_shape'] == (5, 7)
    assert results['img_path'] is None


def test_training_skips_and_says_so_once(unreadable, log):
    """Elsewhere it is an error."""
    transform = LoadImageOrSkip()
    sample = dict(img_path=str(unreadable), img_id=7)
    for _ in range(3):
        assert transform(dict(sample, dataset=TRAINING)) is None
    assert len(log) == 1
    assert str(unreadable) in log[0] and 'image id 7' in log[0]
    for dataset in (dict(dataset=TEST), {}):
        with pytest.raises(ConfigError, match='image id 7') as caught:
            transform(dict(sample, **dataset))
        assert str(unreadable) in str(caught.value)
        assert 'Restore the file' in str(caught.value)
    assert len(log) == 1


def test_the_systems_own_errors_end_the_training(tmp_path, log):
    path = tmp_path / 'image.png'
    cv2.imwrite(str(path), np.zeros((5, 7, 3), np.uint8))
    sample = dict(img_path=str(path), img_id=7, dataset=TRAINING)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(OSError, match='Too many open files'):
            LoadImageOrSkip()(sample)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert not log


def _sample(dataset=TRAINING, **changes):
    """One person of three joints in a 20x10 image."""
    sample = dict(
        img_shape=(10, 20),
        img_path='images/5.jpg',
        img_id=5,
        id=31,
        dataset=dataset,
        bbox=np.array([[1, 2, 8, 9]], np.float32),
        keypoints=np.array([[[2, 3], [4, 5], [6, 7]]], np.float32),
        keypoints_visible=np.array([[1, 1, 0]], np.float32),
    )
    sample.update(changes)
    return sample


@pytest.mark.parametrize('dataset', [TRAINING, TEST, BOTTOM_UP])
def test_good_sample_is_untouched(log, dataset):
    results = SanitizeInstances()(_sample(dataset))
    for key in ('bbox', 'keypoints', 'keypoints_visible'):
        np.testing.assert_array_equal(results[key], _sample()[key])
    assert not log


@pytest.mark.parametrize(
    'index, point, kept, visible, said',
    [
        (1, (np.nan, 3), (0, 0), [1, 0, 0], True),
        (1, (2, np.inf), (0, 0), [1, 0, 0], True),
        (1, (-0.5, 3), (-0.5, 3), [1, 0, 0], True),
        (1, (2, 10.5), (2, 10.5), [1, 0, 0], True),
        (1, (20.1, 3), (20.1, 3), [1, 0, 0], True),
        # on the edge, and invisible
        (1, (0, 0), (0, 0), [1, 1, 0], False),
        (1, (20, 10), (20, 10), [1, 1, 0], False),
        (2, (np.nan, 3), (0, 0), [1, 1, 0], False),
    ],
)
def test_bad_keypoint_becomes_invisible(
    log, index, point, kept, visible, said
):
    sample = _sample()
    sample['keypoints'][0, index] = point
    original = sample['keypoints'].copy()
    expected = original.copy()
    expected[0, index] = kept
    transform = SanitizeInstances()
    for _ in range(2):
        results = transform(dict(sample))
        np.testing.assert_array_equal(results['keypoints_visible'], [visible])
        np.testing.assert_allclose(results['keypoints'], expected)
    # The dataset's own arrays are left as they were.
    np.testing.assert_array_equal(sample['keypoints'], original)
    assert len(log) == said
    for part in ('[1]', 'annotation 31', 'images/5.jpg', 'image id 5'):
        assert not said or part in log[0]


def test_nan_visibility_and_weights_are_hidden_too():
    sample = _sample()
    sample['keypoints_visible'][0, 1] = np.nan
    results = SanitizeInstances()(sample)
    np.testing.assert_array_equal(results['keypoints_visible'], [[1, 0, 0]])
    sample = _sample(keypoints_visible=np.full((1, 3, 2), 1, np.float32))
    sample['keypoints'][0, 0] = np.nan
    results = SanitizeInstances()(sample)
    np.testing.assert_array_equal(
        results['keypoints_visible'], [[[0, 0], [1, 1], [1, 1]]]
    )


def test_person_without_visible_keypoints(log):
    hidden = np.zeros((1, 3), np.float32)
    transform = SanitizeInstances()
    for _ in range(2):
        assert transform(_sample(keypoints_visible=hidden)) is None
    assert len(log) == 1 and 'no visible keypoint' in log[0]
    for dataset in (TEST, BOTTOM_UP):
        sample = _sample(dataset, keypoints_visible=hidden)
        assert SanitizeInstances()(sample) is not None


@pytest.mark.parametrize(
    'box, grown',
    [
        ((3, 4, 3, 8), (3, 4, 4, 8)),
        ((3, 4, 3, 4), (3, 4, 4, 5)),
        ((8, 9, 5, 4), (5, 4, 8, 9)),
        ((np.nan, 4, 8, 9), None),
        ((1, 4, np.inf, 9), None),
    ],
)
def test_bad_box(log, box, grown):
    def sample(dataset):
        return _sample(dataset, bbox=np.array([box], np.float32))

    assert SanitizeInstances()(sample(TRAINING)) is None
    assert 'annotation 31' in log[0] and 'skipped' in log[0]
    results = SanitizeInstances()(sample(BOTTOM_UP))
    np.testing.assert_array_equal(results['bbox'], [[2, 3, 4, 5]])
    if grown is None:
        with pytest.raises(ConfigError, match='annotation 31.*not finite'):
            SanitizeInstances()(sample(TEST))
    else:
        results = SanitizeInstances()(sample(TEST))
        np.testing.assert_array_equal(results['bbox'], [grown])


def test_bottom_up_mends_only_the_bad_one(log):
    two = _sample(
        BOTTOM_UP,
        id=[31, 32],
        bbox=np.array([[1, 2, 8, 9], [4, 4, 4, 4]], np.float32),
        keypoints=np.arange(12, dtype=np.float32).reshape(2, 3, 2) / 2,
        keypoints_visible=np.array([[1, 1, 1], [0, 0, 0]], np.float32),
    )
    results = SanitizeInstances()(two)
    np.testing.assert_array_equal(
        results['bbox'], [[1, 2, 8, 9], [0, 0, 1, 1]]
    )
    assert len(log) == 1 and 'annotation 32' in log[0]


def test_image_without_people_passes(log):
    sample = dict(img_shape=(4, 4), img_path='a', img_id=1, dataset=TEST)
    assert SanitizeInstances()(dict(sample)) == sample
    assert not log


@pytest.mark.parametrize('mode', [TRAINING, BOTTOM_UP])
def test_combined_data_sets_give_samples_as_their_parts_do(log, mode):
    combined = SimpleNamespace(test_mode=False, datasets=[mode, mode])
    nobody = dict(keypoints_visible=np.zeros((1, 3), np.float32))
    results = SanitizeInstances()(_sample(combined, **nobody))
    assert (results is None) == (mode is TRAINING)
