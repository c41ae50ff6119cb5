import pytest
import torch
from mmpose.models import build_pose_estimator

from rmpe_spm.cli.preflight import check_model
from rmpe_spm.errors import ConfigError


def test_a_model_that_fits_is_left_as_it_was(tiny_config):
    model = build_pose_estimator(tiny_config.model)
    model.backbone.conv1.eval()
    before = {name: m.training for name, m in model.named_modules()}
    state = {k: v.clone() for k, v in model.state_dict().items()}
    check_model(model, 17)
    assert {n: m.training for n, m in model.named_modules()} == before
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_head_of_another_skeleton(tiny_config):
    tiny_config.model.head.out_channels = 14
    model = build_pose_estimator(tiny_config.model)
    with pytest.raises(ConfigError, match=r'14 keypoints.* has 17'):
        check_model(model, 17)
    check_model(model, 14)
    check_model(model, None)


def test_three_maps_a_keypoint(tiny_config):
    """UDP's combined form has 3 K channels."""
    head = tiny_config.model.head
    head.out_channels = 51
    head.loss = dict(type='CombinedTargetMSELoss', use_target_weight=True)
    head.decoder = dict(
        type='UDPHeatmap',
        input_size=(48, 64),
        heatmap_size=(12, 16),
        heatmap_type='combined',
    )
    model = build_pose_estimator(tiny_config.model)
    check_model(model, 17)
    with pytest.raises(ConfigError, match=r'17 keypoints.* has 14'):
        check_model(model, 14)


def test_input_size_that_the_backbone_cannot_take(tiny_config):
    model_config = tiny_config.model
    extra = dict(
        stage2=dict(num_branches=2, num_channels=(4, 8)),
        stage3=dict(num_branches=3, num_channels=(4, 8, 16)),
        stage4=dict(num_branches=4, num_channels=(4, 8, 16, 32)),
    )
    for settings in extra.values():
        settings.update(
            num_modules=1,
            block='BASIC',
            num_blocks=(1,) * settings['num_branches'],
        )
    extra['stage1'] = dict(
        num_modules=1,
        num_branches=1,
        block='BOTTLENECK',
        num_blocks=(1,),
        num_channels=(4,),
    )
    model_config.backbone = dict(type='HRNet', in_channels=3, extra=extra)
    model_config.head.in_channels = 4
    codec = model_config.head.decoder
    codec.update(input_size=(32, 64), heatmap_size=(8, 16))
    check_model(build_pose_estimator(model_config), 17)
    codec.update(input_size=(40, 72), heatmap_size=(10, 18))
    with pytest.raises(ConfigError) as caught:
        check_model(build_pose_estimator(model_config), 17)
    for part in ('HRNet', '40x72', 'multiple of 32', 'codec.input_size'):
        assert part in str(caught.value)


def test_model_that_needs_more_than_an_image_passes(tiny_config):
    model = build_pose_estimator(tiny_config.model)

    def forward(feats, samples):
        raise AssertionError('never reached')

    model.head.forward = forward
    check_model(model, 17)
    assert model.training


def test_maps_of_another_size_than_the_codecs(tiny_config):
    tiny_config.model.head.decoder.heatmap_size = (24, 32)
    model = build_pose_estimator(tiny_config.model)
    with pytest.raises(ConfigError, match=r'12x16 cells.*\(24, 32\)'):
        check_model(model, 17)


def test_head_of_several_maps(tiny_config):
    """A bottom-up head, whose maps come in nested lists."""
    model_config = tiny_config.model
    model_config.type = 'BottomupPoseEstimator'
    codec = dict(
        type='HierarchicalSPRCodec',
        input_size=(64, 32),
        heatmap_size=(16, 8),
        kinematics='coco',
    )
    model_config.head = dict(
        type='SPMHead', in_channels=8, num_keypoints=17, decoder=codec
    )
    model = build_pose_estimator(model_config)
    check_model(model, 17)
    with pytest.raises(ConfigError, match=r'17 keypoints.* has 14'):
        check_model(model, 14)
    model_config.head.decoder.heatmap_size = (32, 16)
    with pytest.raises(ConfigError, match=r'16x8 cells.*\(32, 16\)'):
        check_model(build_pose_estimator(model_config), 17)


@pytest.mark.parametrize('in_channels', [1280, 300])
def test_a_localiser_that_does_not_fit_is_told(in_channels):
    backbone = dict(type='MobileNetV2', widen_factor=0.1, out_indices=(7,))
    codec = dict(
        type='MSRAHeatmap', input_size=(48, 64), heatmap_size=(2, 2), sigma=1
    )
    model = build_pose_estimator(
        dict(
            type='ParallelSPPE',
            sppe=dict(
                type='TopdownPoseEstimator',
                backbone=backbone,
                head=dict(
                    type='HeatmapHead',
                    in_channels=1280,
                    out_channels=17,
                    deconv_out_channels=None,
                    decoder=codec,
                ),
            ),
            localizer=backbone,
            sstn=dict(type='SSTNHead', in_channels=in_channels),
        )
    )
    if in_channels == 1280:
        check_model(model, 17)
        return
    with pytest.raises(ConfigError, match=r'model\.localizer and model\.sstn'):
        check_model(model, 17)
