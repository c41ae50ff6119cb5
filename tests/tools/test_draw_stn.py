"""Pictures of the STN show the region that it takes."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS

from rmpe_spm.inference.stn_drawing import ORANGE

CONFIG = """
codec = dict(
    type='MSRAHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=1)
model = dict(
    type='ParallelSPPE',
    sppe=dict(
        type='TopdownPoseEstimator',
        data_preprocessor=dict(
            type='PoseDataPreprocessor',
            mean=[120, 110, 100],
            std=[60, 50, 40],
            bgr_to_rgb=True),
        backbone=dict(type='MobileNetV2', widen_factor=0.1, out_indices=(7, )),
        head=dict(
            type='HeatmapHead',
            in_channels=1280,
            out_channels=17,
            deconv_out_channels=(4, 4, 4),
            deconv_kernel_sizes=(4, 4, 4),
            decoder=codec)),
    localizer=dict(type='MobileNetV2', widen_factor=0.1, out_indices=(7, )),
    sstn=dict(type='SSTNHead', in_channels=1280, transform='scale_shift'))
val_dataloader = dict(
    dataset=dict(
        type='CocoDataset',
        data_root={root!r},
        data_mode='topdown',
        ann_file='people.json',
        data_prefix=dict(img=''),
        bbox_file='none.json',
        test_mode=True,
        pipeline=[
            dict(type='LoadImage'),
            dict(type='GetBBoxCenterScale'),
            dict(type='TopdownAffine', input_size=(48, 64)),
            dict(type='PackPoseInputs')]))
"""


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('draw_stn')


@pytest.fixture
def setup(tmp_path):
    """A config, a checkpoint and a picture with one person in red."""
    image = np.zeros((200, 200, 3), dtype=np.uint8)
    image[40:160, 60:120] = (0, 0, 200)
    cv2.imwrite(str(tmp_path / 'image.png'), image)
    people = dict(
        images=[dict(id=1, file_name='image.png', width=200, height=200)],
        annotations=[
            dict(
                id=1,
                image_id=1,
                category_id=1,
                iscrowd=0,
                bbox=[60, 40, 60, 120],
                area=7200,
                num_keypoints=17,
                keypoints=[90, 100, 2] * 17,
            )
        ],
        categories=[dict(id=1, name='person')],
    )
    (tmp_path / 'people.json').write_text(json.dumps(people))
    config = tmp_path / 'config.py'
    config.write_text(CONFIG.replace('{root!r}', repr(f'{tmp_path}/')))
    model = MODELS.build(Config.fromfile(config).model)
    with torch.no_grad():
        model.sstn.theta_fc.bias.copy_(torch.tensor([0.5, 0.0, 0.0]))
    checkpoint = tmp_path / 'model.pth'
    torch.save(
        dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(a=1))),
        checkpoint,
    )
    return str(config), str(checkpoint), tmp_path


def test_the_region_is_outlined(tool, setup, capsys):
    config, checkpoint, folder = setup
    out = folder / 'pictures' / 'stn.png'
    tool.main([config, checkpoint, str(out), '--columns=1', '--jitter=0.01'])
    picture = cv2.imread(str(out)).astype(int)
    # Two crops of 48x64, twice enlarged, and a margin of 4.
    assert picture.shape == (2 * 64 + 8, 4 * 48 + 8, 3)
    crop, warped = picture[4:-4, 4:100], picture[4:-4, 100:-4]
    # Half of the crop about its centre, (47, 63) after enlarging.
    orange = np.abs(crop - ORANGE).sum(-1) < 60
    rows, cols = np.nonzero(orange)
    assert rows.min() == pytest.approx(31.5, abs=2.5)
    assert rows.max() == pytest.approx(94.5, abs=2.5)
    assert cols.min() == pytest.approx(23.5, abs=2.5)
    assert cols.max() == pytest.approx(70.5, abs=2.5)
    # The person fills the warped crop, and red stays red.
    assert np.abs(warped[20:-20, 20:-20] - (0, 0, 200)).max() < 12
    assert '1 people' in capsys.readouterr().out


def test_given_boxes(tool, setup):
    """Without the data set; the boxes are taken as they are."""
    config, checkpoint, folder = setup
    (folder / 'people.json').unlink()
    out, box = folder / 'stn.png', ['60', '40', '120', '160']
    argv = [config, checkpoint, str(out), '--scale=1', '--columns=2']
    for _ in range(2):
        argv += ['--box', str(folder / 'image.png'), *box]
    tool.main(argv)
    picture = cv2.imread(str(out)).astype(int)
    assert picture.shape == (64 + 8, 2 * (2 * 48 + 8), 3)
    np.testing.assert_array_equal(picture[:, :104], picture[:, 104:])
    # padded by a quarter, so 10% of the crop is beside the person
    assert np.abs(picture[4:-4, 5:8]).max() < 12
    assert np.abs(picture[30:40, 60:90] - (0, 0, 200)).max() < 12


def test_a_plain_model_is_refused(tool, setup, capsys):
    config, checkpoint, folder = setup
    cfg = Config.fromfile(config)
    cfg.model = cfg.model.sppe
    plain = folder / 'plain.py'
    cfg.dump(plain)
    with pytest.raises(SystemExit):
        tool.main([str(plain), checkpoint, str(folder / 'out.png')])
    assert 'no ParallelSPPE' in capsys.readouterr().err
