"""People in the camera's space: where they are, and how they are drawn."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from rmpe_spm import ConfigError, PoseInferencer
from rmpe_spm.cameras import pinhole, project
from rmpe_spm.inference.drawing import draw_views


def test_people_in_space(bottomup_3d, bottomup, pictures, tmp_path):
    """By the given focal length, or that of the picture's longer side."""
    inferencer = PoseInferencer(**bottomup_3d)
    files = dict(vis_out_dir=tmp_path, pred_out_dir=tmp_path)
    near = list(inferencer(pictures, **files))
    far = PoseInferencer(**bottomup_3d, focal_length=300)(pictures)
    assert sum(map(len, near)) > 5
    for result, farther in zip(near, far, strict=True):
        focal = float(max(result.size))
        for own, length in ((result, focal), (farther, 300.0)):
            # random weights see some joints behind the camera
            front = own.keypoints_3d[..., 2] > 0
            assert front.any()
            pixels = project(own.keypoints_3d, pinhole(length, own.size))
            np.testing.assert_allclose(
                pixels[front], own.keypoints[front], atol=1e-2
            )
        # a longer lens sees the same people farther away, as they are
        depths = [own.keypoints_3d[..., 2] for own in (result, farther)]
        shift = depths[1] - depths[0]
        assert (shift > 0).all() and np.ptp(shift, axis=1).max() < 1
        stem = Path(result.path).stem
        width, height = result.size
        drawn = cv2.imread(str(tmp_path / f'{stem}.jpg'))
        assert drawn.shape == (height, width + height, 3)
        people = json.loads((tmp_path / f'{stem}.json').read_text())
        found = [person['keypoints_3d'] for person in people]
        np.testing.assert_array_equal(found, result.keypoints_3d)
        assert result.above(np.inf).keypoints_3d.shape == (0, 17, 3)
    inferencer.model.head.stages[0].heatmap_layer.bias.data -= 10
    (nobody,) = inferencer(pictures / '1.png')
    assert nobody.keypoints_3d.shape == (0, 17, 3)
    for model, focal in ((bottomup, 300), (bottomup_3d, -1)):
        with pytest.raises(ConfigError, match='is for a model in 3D'):
            PoseInferencer(**model, focal_length=focal)


def test_views_by_hand(make_result):
    """A bar three metres away, a metre across and a metre high."""
    bar = np.full((1, 17, 3), 3000.0)
    bar[..., 0] = np.linspace(0, 1000, 17)
    bar[..., 1] = np.linspace(-500, 500, 17)
    views = draw_views(replace(make_result(1), keypoints_3d=bar), 400)
    assert views.shape == (400, 400, 3)
    # 100 pixels a metre: half a metre beside the camera and the bar
    for view in np.split(views, 2):
        place = np.argwhere(np.ptp(view.astype(int), axis=2) > 100)
        ends = [place.min(axis=0), place.max(axis=0)]
        np.testing.assert_allclose(ends, [(50, 350), (150, 350)], atol=1)
