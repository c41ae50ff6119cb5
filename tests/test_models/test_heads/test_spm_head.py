import warnings

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.structures import InstanceData, PixelData
from mmpose.apis import Pose2DInferencer
from mmpose.registry import KEYPOINT_CODECS, MODELS
from mmpose.structures import PoseDataSample

from rmpe_spm.models.heads import SPMHead

FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
SIZE = (128, 96)


def codec_config(**options):
    return (
        dict(
            type='HierarchicalSPRCodec',
            input_size=SIZE,
            heatmap_size=(32, 24),
            sigma=3,
            tau=3,
            overlap='nearest',
        )
        | options
    )


def make_head(in_channels=8, codec=None, **options):
    small = dict(num_convs=1, channels=8, kernel_size=3)
    return SPMHead(
        in_channels=in_channels,
        num_keypoints=17,
        decoder=codec_config(**(codec or {})),
        **(dict(heatmap_head=small, displacement_head=small) | options),
    )


def make_poses(count, seed=0):
    """People beside each other, so that each has a peak of its own."""
    rng = np.random.RandomState(seed)
    poses = rng.uniform(-14, 14, (count, 17, 2))
    poses -= poses.mean(axis=1, keepdims=True)
    poses[..., 0] += 20 + 40 * np.arange(count)[:, None]
    poses[..., 1] += rng.uniform(35, 60, (count, 1))
    return poses.astype(np.float32)


def make_samples(codec, all_poses, **meta):
    samples = []
    for i, poses in enumerate(all_poses):
        sample = PoseDataSample(
            metainfo=dict(
                img_path=f'images/{i}.jpg',
                input_size=SIZE,
                input_center=np.array(SIZE) / 2,
                input_scale=np.array(SIZE, dtype=np.float32),
                flip_indices=FLIP,
                **meta,
            )
        )
        encoded = codec.encode(poses)
        sample.gt_fields = PixelData(
            **{key: torch.tensor(value) for key, value in encoded.items()}
        )
        samples.append(sample)
    return samples


def perfect_maps(codec, all_poses):
    encoded = [codec.encode(poses) for poses in all_poses]
    return tuple(
        torch.tensor(np.stack([e[key] for e in encoded]))
        for key in ('heatmaps', 'displacements')
    )


def answer(head, *maps):
    """Make the head predict these maps, one pair for each forward."""
    replies = iter(maps)
    head.forward = lambda feats: next(replies)
    return head


def assert_same_people(instances, poses, atol=1e-2):
    assert len(instances) == len(poses)
    order = np.argsort(instances.keypoints[..., 0].mean(axis=1))
    np.testing.assert_allclose(instances.keypoints[order], poses, atol=atol)


# ---- forward


@pytest.mark.parametrize('feedback', [False, True])
def test_stages(feedback):
    head = make_head(
        num_stages=3,
        feedback=feedback,
        keypoint_heatmaps=True,
        codec=dict(generate_keypoint_heatmaps=True),
    ).eval()
    feats = tuple(torch.rand(2, 8, 6, 8) for _ in range(4))
    outputs = head.forward_stages(feats)
    assert len(outputs) == 3
    for heatmaps, displacements in outputs:
        assert heatmaps.shape == (2, 18, 6, 8)
        assert displacements.shape == (2, 34, 6, 8)
    heatmaps, displacements = head(feats)
    torch.testing.assert_close(heatmaps, outputs[-1][0])
    torch.testing.assert_close(displacements, outputs[-1][1])
    # the first of the four feature maps is not used; an earlier stage's
    # feature reaches the last prediction only through feedback
    other = (torch.rand(2, 8, 6, 8), torch.rand(2, 8, 6, 8), *feats[2:])
    assert torch.equal(head(other)[0], heatmaps) != feedback


def test_single_stage_takes_the_feature_of_its_index():
    head = make_head(in_index=0).eval()
    feats = (torch.rand(1, 8, 6, 8), torch.rand(1, 99, 3, 4))
    assert head(feats)[0].shape == (1, 1, 6, 8)
    with pytest.raises(ValueError, match='num_stages=3.*2 feature maps'):
        make_head(num_stages=3)(feats)


def test_several_levels_are_added():
    head = make_head(in_index=(0, 2)).eval()
    feats = (
        torch.rand(1, 8, 6, 8),
        torch.rand(1, 99, 9, 9),
        torch.rand(1, 8, 3, 4),
    )
    resized = torch.nn.functional.interpolate(
        feats[2], scale_factor=2, mode='bilinear'
    )
    expected = head.stages[0](feats[0] + resized)
    torch.testing.assert_close(head(feats), expected)


def test_levels_that_do_not_divide_are_told():
    head = make_head(in_index=(0, 1)).eval()
    # an input of 72 x 24 at strides 4 and 16
    feats = torch.rand(1, 8, 6, 18), torch.rand(1, 8, 2, 5)
    with pytest.raises(ValueError, match=r'\(2, 5\).*multiples of 4 times'):
        head(feats)


def test_weights_of_every_stage_are_initialised():
    head = make_head(num_stages=2)
    head.init_weights()
    for stage in head.stages:
        assert stage.heatmap_layer.weight.std() < 0.002


# ---- loss


def test_loss_is_the_papers():
    """Sums over the map and the windows, so that beta keeps its meaning."""
    head = make_head()
    poses = [make_poses(2), make_poses(1, seed=1)]
    samples = make_samples(head.decoder, poses)
    zero = torch.zeros(2, 1, 24, 32), torch.zeros(2, 34, 24, 32)
    head.forward_stages = lambda feats: [zero]
    losses = head.loss(None, samples)
    heatmaps, displacements = perfect_maps(head.decoder, poses)
    assert set(losses) == {'loss/heatmap', 'loss/displacement'}
    torch.testing.assert_close(losses['loss/heatmap'], (heatmaps**2).sum() / 2)
    torch.testing.assert_close(
        losses['loss/displacement'], 0.01 * displacements.abs().sum() / 2
    )
    # about pi sigma^2 / 2 for each of the three people
    assert 30 < losses['loss/heatmap'] * 2 < 3 * 14.2
    # and two stages are summed
    head.forward_stages = lambda feats: [zero, zero]
    twice = head.loss(None, samples)
    for key in losses:
        torch.testing.assert_close(twice[key], 2 * losses[key])
    # what is predicted off the windows is no matter for displacements
    weights = torch.stack([s.gt_fields.displacement_weights for s in samples])
    head.forward_stages = lambda feats: [
        (heatmaps, displacements + (1 - weights) * 9)
    ]
    assert all(value == 0 for value in head.loss(None, samples).values())


def test_keypoint_and_joint_offset_losses():
    head = make_head(
        codec=dict(
            generate_keypoint_heatmaps=True, generate_joint_offsets=True
        ),
        keypoint_heatmaps=True,
        keypoint_loss=dict(type='MapL2Loss', loss_weight=0.5),
        joint_offset_loss=dict(type='MapL1Loss'),
    )
    poses = [make_poses(2)]
    samples = make_samples(head.decoder, poses)
    heatmaps, displacements = perfect_maps(head.decoder, poses)
    head.forward_stages = lambda feats: [(0 * heatmaps, 0 * displacements)]
    losses = head.loss(None, samples)
    torch.testing.assert_close(
        losses['loss/keypoint'], 0.5 * (heatmaps[:, :-1] ** 2).sum()
    )
    torch.testing.assert_close(
        losses['loss/heatmap'], (heatmaps[:, -1:] ** 2).sum()
    )
    offsets = samples[0].gt_fields.joint_offsets
    torch.testing.assert_close(
        losses['loss/joint_offset'], 0.01 * offsets.abs().sum()
    )
    head.forward_stages = lambda feats: [(heatmaps, displacements)]
    losses = head.loss(None, samples)
    assert sum(losses.values()) < 1e-4


def test_crowd_regions_reach_the_loss():
    """From the annotation through the pipeline to the loss: what is
    predicted on unlabelled people costs nothing."""
    codec = codec_config()
    pipeline = Compose(
        [
            dict(type='GenerateTarget', encoder=codec),
            dict(type='BottomupGetHeatmapMask'),
            dict(type='PackPoseInputs'),
        ]
    )
    crowd = [[64.0, 0, 127, 0, 127, 95, 64, 95]]
    packed = pipeline(
        dict(
            img=np.zeros((96, 128, 3), dtype=np.uint8),
            img_shape=(96, 128),
            input_size=SIZE,
            keypoints=make_poses(1),
            keypoints_visible=np.ones((1, 17)),
            invalid_segs=[crowd],
            warp_mat=np.eye(2, 3, dtype=np.float32),
        )
    )
    head = make_head()
    sample = packed['data_samples']
    mask = sample.gt_fields.heatmap_mask
    assert mask[0, 5, 5] and not mask[0, 5, 25]
    heatmaps = sample.gt_fields.heatmaps[None]
    displacements = sample.gt_fields.displacements[None]

    def loss_with(x):
        wrong = heatmaps.clone()
        wrong[0, 0, 5, x] += 1
        head.forward_stages = lambda feats: [(wrong, displacements)]
        return head.loss(None, [sample])['loss/heatmap'].item()

    assert loss_with(5) == pytest.approx(1)
    assert loss_with(25) < 1e-5


# ---- prediction


def test_predict_any_batch_size():
    head = make_head()
    poses = [make_poses(3), make_poses(0), make_poses(1, seed=2)]
    samples = make_samples(head.decoder, poses)
    maps = perfect_maps(head.decoder, poses)
    preds = answer(head, maps).predict(None, samples)
    for pred, expected in zip(preds, poses, strict=True):
        assert_same_people(pred, expected)
        assert pred.keypoint_scores.shape == (len(expected), 17)
        for key in ('keypoints', 'keypoint_scores', 'bboxes', 'bbox_scores'):
            assert pred[key].dtype == np.float32
    for i in range(3):
        one = [m[i : i + 1] for m in maps]
        single = answer(head, tuple(one)).predict(None, samples[i : i + 1])
        np.testing.assert_array_equal(single[0].keypoints, preds[i].keypoints)
    first = preds[0]
    assert (np.diff(first.bbox_scores) <= 0).all()
    np.testing.assert_allclose(first.bboxes[:, :2], first.keypoints.min(1))
    np.testing.assert_allclose(first.bboxes[:, 2:], first.keypoints.max(1))
    np.testing.assert_allclose(
        first.keypoint_scores, first.bbox_scores[:, None].repeat(17, 1)
    )


@pytest.mark.parametrize(
    'codec',
    [
        dict(),
        dict(kinematics='coco-flat'),
        dict(displacement_location='parent'),
        dict(generate_keypoint_heatmaps=True),
    ],
    ids=str,
)
def test_flip_test_agrees_with_itself(codec):
    head = make_head(
        codec=codec, keypoint_heatmaps='generate_keypoint_heatmaps' in codec
    )
    poses = make_poses(2)
    mirrored = poses[:, FLIP].copy()
    mirrored[..., 0] = SIZE[0] - 1 - mirrored[..., 0]
    samples = make_samples(head.decoder, [poses])
    maps = [perfect_maps(head.decoder, [p]) for p in (poses, mirrored)]

    def merge(**options):
        config = dict(flip_test=True, output_heatmaps=True, **options)
        preds, fields = answer(head, *maps).predict(
            [None, None], samples, config
        )
        roots = fields[0].heatmaps[-1] - maps[0][0][0, -1]
        return preds[0], roots.abs().max()

    pred, difference = merge()
    assert_same_people(pred, poses)
    # the heatmaps come back in place, not 3/4 of a cell beside it
    assert difference < 0.5 * merge(shift_heatmap=False)[1]


def test_several_stages_choose_no_levels():
    with pytest.raises(ValueError, match='num_stages=2 the stages take'):
        make_head(num_stages=2, in_index=(0, 1))


def test_flip_test_needs_a_symmetric_tree():
    parents = [-1] * 17
    parents[9] = 7  # the left wrist alone hangs on its elbow
    head = make_head(codec=dict(kinematics=parents))
    samples = make_samples(head.decoder, [make_poses(1)])
    maps = perfect_maps(head.decoder, [make_poses(1)])
    answer(head, maps).predict(None, samples, {})
    with pytest.raises(ValueError, match='joint 10 mirrors joint 9'):
        answer(head, maps, maps).predict(
            [None, None], samples, dict(flip_test=True)
        )


def test_keypoint_heatmaps_score_the_joints():
    head = make_head(
        codec=dict(generate_keypoint_heatmaps=True), keypoint_heatmaps=True
    )
    poses = make_poses(1)
    heatmaps, displacements = perfect_maps(head.decoder, [poses])
    heatmaps[:, 9] = -0.1
    heatmaps[:, -1] *= 0.5
    samples = make_samples(head.decoder, [poses])
    pred = answer(head, (heatmaps, displacements)).predict(None, samples)[0]
    assert pred.keypoint_scores[0, 9] == 0
    others = np.delete(pred.keypoint_scores[0], 9)
    assert (others < 0.5).all() and (others > 0.35).all()
    assert pred.bbox_scores[0] == pytest.approx(pred.keypoint_scores.mean())


def test_joints_snap_to_their_heatmaps():
    head = make_head(
        codec=dict(generate_keypoint_heatmaps=True), keypoint_heatmaps=True
    )
    poses = np.rint(make_poses(1) / 4) * 4
    heatmaps, displacements = perfect_maps(head.decoder, [poses])
    samples = make_samples(head.decoder, [poses])
    z = head.decoder.normalizer
    displacements[:, 0::2] += 0.8 / z  # all joints too far right
    config = dict(snap_thr=0.3, snap_distance=0.5)
    maps = heatmaps, displacements
    off = answer(head, maps).predict(None, samples)[0]
    snapped = answer(head, maps).predict(None, samples, config)[0]
    assert np.abs(off.keypoints - poses).max() > 3
    assert np.abs(snapped.keypoints - poses).max() <= 1.01
    with pytest.raises(ValueError, match='keypoint heatmaps'):
        plain = make_head()
        maps = perfect_maps(plain.decoder, [poses])
        answer(plain, maps).predict(None, samples, config)


def doubled(count=2):
    """Maps in which a second, weaker root sees each person once more."""
    head = make_head(codec=dict(decode_nms_kernel=3))
    poses = make_poses(count)
    heatmaps, displacements = perfect_maps(head.decoder, [poses])
    roots = np.rint(poses.mean(axis=1) / 4).astype(int)
    heatmaps[heatmaps < 0.95] = 0
    for x, y in roots:
        heatmaps[0, 0, y - 1 : y + 2, x - 2 : x + 3] = 0
        heatmaps[0, 0, y, x - 1], heatmaps[0, 0, y, x + 1] = 0.9, 0.6
    return head, poses, (heatmaps, displacements)


@pytest.mark.parametrize(
    'config',
    [
        dict(nms=dict(type='ParametricPoseNMS', preset='coco')),
        dict(nms_dist_thr=0.05),
        dict(nms_dist_thr=0.05, nms_joints_thr=3),
    ],
    ids=str,
)
def test_pose_nms_by_name(config):
    head, poses, maps = doubled()
    samples = make_samples(head.decoder, [poses])
    without = answer(head, maps).predict(None, samples)[0]
    assert len(without) == 4
    pred = answer(head, maps).predict(None, samples, config)[0]
    assert_same_people(pred, poses, atol=1)
    assert pred.bbox_scores.shape == (2,) and pred.bboxes.shape == (2, 4)


def test_max_num_people_and_output_heatmaps():
    head, poses, maps = doubled()
    samples = make_samples(head.decoder, [poses])
    config = dict(max_num_people=3, output_heatmaps=True)
    preds, fields = answer(head, maps).predict(None, samples, config)
    np.testing.assert_allclose(
        preds[0].bbox_scores, [0.9, 0.9, 0.6], atol=1e-6
    )
    assert torch.equal(fields[0].heatmaps, maps[0][0])
    assert torch.equal(fields[0].displacements, maps[1][0])


@pytest.mark.parametrize(
    'config',
    [
        dict(),
        dict(nms_dist_thr=0.05),
        dict(nms=dict(type='ParametricPoseNMS')),
    ],
    ids=str,
)
def test_nan_is_reported_and_yields_no_pose(config):
    head = make_head()
    poses = [make_poses(1), make_poses(1)]
    samples = make_samples(head.decoder, poses)
    maps = perfect_maps(head.decoder, poses)
    maps[1][1, 3, 0, 0] = float('nan')
    with pytest.warns(RuntimeWarning, match='images/1.jpg.*NaN'):
        preds = answer(head, maps).predict(None, samples, config)
    assert_same_people(preds[0], poses[0])
    assert preds[1].keypoints.shape == (0, 17, 2)
    assert preds[1].bboxes.shape == (0, 4)
    assert preds[1].bbox_scores.shape == (0,)


@pytest.mark.parametrize(
    'config',
    [dict(nms_dist_thr=0.05), dict(nms=dict(type='ParametricPoseNMS'))],
    ids=str,
)
def test_one_joint(config):
    head = SPMHead(8, 1, decoder=codec_config(kinematics=[-1]))
    poses = make_poses(3)[:, :1]
    samples = make_samples(head.decoder, [poses])
    maps = perfect_maps(head.decoder, [poses])
    pred = answer(head, maps).predict(None, samples, config)[0]
    assert_same_people(pred, poses)
    np.testing.assert_allclose(pred.bboxes[:, :2], pred.bboxes[:, 2:])


def test_bad_configs():
    with pytest.raises(ValueError, match='tree has 14 joints'):
        make_head(codec=dict(kinematics='crowdpose'))
    with pytest.raises(ValueError, match='generate_keypoint_heatmaps=False'):
        make_head(keypoint_heatmaps=True)
    with pytest.raises(ValueError, match='generate_joint_offsets=True'):
        make_head(joint_offset_loss=dict(type='MapL1Loss'))
    with pytest.raises(ValueError, match='needs `decoder`'):
        SPMHead(8, 17, joint_offset_loss=dict(type='MapL1Loss'))
    with pytest.raises(RuntimeError, match='decoder'):
        SPMHead(8, 17).predict(None, [])


# ---- in mmpose's estimator


def make_model(**options):
    return MODELS.build(
        dict(
            type='BottomupPoseEstimator',
            data_preprocessor=dict(
                type='PoseDataPreprocessor', mean=[127.0] * 3, std=[64.0] * 3
            ),
            backbone=dict(
                type='MobileNetV2', widen_factor=0.5, out_indices=(1, 2, 4)
            ),
            neck=dict(type='FeatureMapProcessor', concat=True),
            head=dict(
                type='SPMHead',
                in_channels=16 + 16 + 48,
                num_keypoints=17,
                heatmap_head=dict(channels=32, kernel_size=3),
                displacement_head=dict(channels=32, kernel_size=3),
                decoder=codec_config(),
            ),
            test_cfg=dict(flip_test=True),
        )
        | options
    )


def oks(pred, true):
    squared = ((pred - true) ** 2).sum(axis=-1)
    area = np.ptp(true[:, 0]) * np.ptp(true[:, 1])
    return np.exp(-squared / (2 * area * 0.14**2)).mean()


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
        losses = model(inputs, samples, mode='loss')
        loss = sum(losses.values())
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
        pred = result.pred_instances
        assert isinstance(pred, InstanceData)
        found = pred.keypoints[pred.bbox_scores > 0.5]
        for true in expected:
            assert max(oks(one, true) for one in found) > 0.9


def test_flip_test_and_another_input_size_in_the_estimator():
    model = make_model().eval()
    codec = KEYPOINT_CODECS.build(codec_config())
    samples = make_samples(codec, [make_poses(1)] * 2)
    for size in [(96, 128), (64, 192)]:
        with torch.no_grad():
            results = model(torch.rand(2, 3, *size), samples, mode='predict')
        assert len(results) == 2


def test_inferencer_draws_the_poses(tmp_path, repo_root):
    """mmpose's inferencer, its NMS and visualiser."""
    name = 'spm_mobilenetv2_8xb32-140e_coco-256x256.py'
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
    encoded = head.decoder.encode(poses)
    maps = [torch.tensor(encoded[key])[None] for key in encoded]
    maps[0][maps[0] < 0.5] = 0
    for i in range(3):  # 10 cells apart
        maps[0][..., 10 * i : 10 * i + 10] *= 1 - 0.2 * i
    head.forward = lambda feats: (maps[0], maps[2])
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
