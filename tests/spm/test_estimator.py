"""SPM's head in mmpose's estimator and inferencer."""

import warnings

import numpy as np
import torch
from mmengine.config import Config
from mmpose.apis import Pose2DInferencer
from mmpose.registry import MODELS
from spm_maps import SIZE, codec_config, make_poses, make_samples, perfect_maps


def make_model():
    head = dict(channels=32, kernel_size=3)
    return MODELS.build(
        dict(
            type='BottomupPoseEstimator',
            backbone=dict(
                type='MobileNetV2', widen_factor=0.5, out_indices=(1, 2, 4)
            ),
            neck=dict(type='FeatureMapProcessor', concat=True),
            head=dict(
                type='SPMHead',
                in_channels=16 + 16 + 48,
                num_keypoints=17,
                heatmap_head=head,
                displacement_head=head,
                decoder=codec_config(),
            ),
            test_cfg=dict(flip_test=True),
        )
    )


def test_overfits_two_images():
    torch.manual_seed(1)
    model = make_model()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        model.head.init_weights()
    poses = [make_poses(3), make_poses(2, seed=1)]
    samples = make_samples(model.head.decoder, poses)
    inputs = torch.rand(2, 3, SIZE[1], SIZE[0]) * 2 - 1
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 80)
    for _ in range(80):
        loss = sum(model(inputs, samples, mode='loss').values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    assert torch.isfinite(loss)
    # batch statistics, as there are too few steps for running ones
    model.test_cfg['flip_test'] = False
    with torch.no_grad():
        results = model(inputs, samples, mode='predict')
    for result, expected in zip(results, poses, strict=True):
        people = result.pred_instances
        found = people.keypoints[people.bbox_scores > 0.5]
        for true in expected:
            squared = ((found - true) ** 2).sum(axis=-1)
            area = np.ptp(true, axis=0).prod()
            oks = np.exp(-squared / (2 * area * 0.14**2)).mean(axis=1)
            assert oks.max() > 0.9


def test_inferencer_draws_the_poses(tmp_path, repo_root):
    """mmpose's inferencer, its NMS and visualiser."""
    name = 'spm_mobilenetv2_paper_8xb32-140e_coco-256x256.py'
    cfg = Config.fromfile(repo_root / 'configs' / 'spm' / 'coco' / name)
    cfg.model.backbone = dict(
        type='MobileNetV2', widen_factor=0.1, out_indices=(1,)
    )
    cfg.model.neck = None
    cfg.model.head.update(in_channels=8, in_index=-1)
    cfg.model.test_cfg.flip_test = False
    cfg.dump(tmp_path / name)
    inferencer = Pose2DInferencer(str(tmp_path / name), device='cpu')
    poses = make_poses(3)
    head = inferencer.model.head
    head.decoder.heatmap_size = (88, 64)
    maps = perfect_maps(head.decoder, [poses])
    maps[0][maps[0] < 0.5] = 0
    for i in range(3):  # 10 cells apart
        maps[0][..., 10 * i : 10 * i + 10] *= 1 - 0.2 * i
    head.forward = lambda feats: maps
    image = np.full((240, 320, 3), 255, dtype=np.uint8)

    def infer(**options):
        return next(inferencer(image, return_vis=True, **options))

    result = infer(draw_heatmap=True, draw_bbox=True)
    found = result['predictions'][0]
    assert len(found) == 3
    # the image is 240 high and was enlarged to 256
    keypoints = np.array([person['keypoints'] for person in found])
    order = np.argsort(keypoints[..., 0].mean(axis=1))
    expected = poses * 240 / 256 - [(352 - 320 * 256 / 240) / 2 * 240 / 256, 0]
    np.testing.assert_allclose(keypoints[order], expected, atol=0.1)
    assert (result['visualization'][0] != 255).any()
    assert min(person['bbox_score'] for person in found) > 0.3
    assert len(infer(pose_based_nms=True)['predictions'][0]) == 3
