from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from rmpe_spm.coco import loading as module
from rmpe_spm.coco.loading import LoadImageOrSkip

TRAINING = SimpleNamespace(test_mode=False)
TEST = SimpleNamespace(test_mode=True)


@pytest.fixture
def log(monkeypatch):
    lines = []
    monkeypatch.setattr(
        module, 'print_log', lambda message, **kwargs: lines.append(message)
    )
    return lines


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
    path = tmp_path / 'image.png'
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    cv2.imwrite(str(path), pixels)
    results = LoadImageOrSkip()(dict(img_path=str(path), dataset=TRAINING))
    np.testing.assert_array_equal(results['img'], pixels)
    assert results['img_shape'] == (5, 7)


def test_given_array_is_kept():
    pixels = np.ones((5, 7, 3), np.uint8)
    results = LoadImageOrSkip(to_float32=True)(dict(img=pixels))
    assert results['img_shape'] == (5, 7)
    assert results['img_path'] is None


def test_training_skips_and_says_so_once(unreadable, log):
    transform = LoadImageOrSkip()
    for _ in range(3):
        sample = dict(img_path=str(unreadable), img_id=7, dataset=TRAINING)
        assert transform(sample) is None
    assert len(log) == 1
    assert str(unreadable) in log[0] and 'image id 7' in log[0]


@pytest.mark.parametrize('dataset', [{'dataset': TEST}, {}])
def test_elsewhere_it_is_an_error(unreadable, log, dataset):
    sample = dict(img_path=str(unreadable), img_id=7, **dataset)
    with pytest.raises(ValueError, match='image id 7') as caught:
        LoadImageOrSkip()(sample)
    assert str(unreadable) in str(caught.value)
    assert 'Restore the file' in str(caught.value)
    assert not log
