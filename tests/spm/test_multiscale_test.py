from copy import deepcopy

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmpose.registry import MODELS, TRANSFORMS
from spm_maps import FLIP, mirrored

CODEC = dict(
    type='HierarchicalSPRCodec',
    input_size=(128, 128),
    heatmap_size=(32, 32),
    decode_max_instances=5,
)
META = (
    'img_id',
    'img_path',
    'ori_shape',
    'input_size',
    'input_center',
    'input_scale',
    'flip_indices',
)


def make_pipeline(aug_scales, size_factor=16, resize_mode='expand'):
    return Compose(
        [
            dict(
                type='MultiscaleBottomupResize',
                input_size=(128, 128),
                size_factor=size_factor,
                resize_mode=resize_mode,
                aug_scales=aug_scales,
            ),
            dict(type='PackMultiscalePoseInputs', meta_keys=META),
        ]
    )


def make_model(**test_cfg):
    return MODELS.build(
        dict(
            type='MultiscaleBottomupPoseEstimator',
            data_preprocessor=dict(type='PoseDataPreprocessor'),
            backbone=dict(
                type='MobileNetV2', widen_factor=0.25, out_indices=(1,)
            ),
            head=dict(
                type='SPMHead',
                in_channels=8,
                num_keypoints=17,
                heatmap_head=dict(channels=8),
                displacement_head=dict(channels=8),
                decoder=CODEC,
            ),
            test_cfg=dict(multiscale_test=True) | test_cfg,
        )
    ).eval()


def an_image(shape=(120, 150)):
    return dict(
        img=np.random.RandomState(0).randint(0, 255, (*shape, 3), np.uint8),
        ori_shape=shape,
        img_shape=shape,
        img_id=3,
        img_path='a.jpg',
        flip_indices=FLIP,
    )


def see_perfectly(model, pose, aug_scales, pipeline, image=None):
    """Let the network be right about one person at every scale."""
    codec = model.head.decoder
    packed = pipeline(image or an_image())
    meta = packed['data_samples'].metainfo
    sizes = [meta['input_size'], *meta['aug_input_sizes']]
    scales = [meta['input_scale'], *meta['aug_input_scales']]
    replies = []
    for size, scale in zip(sizes, scales, strict=True):
        in_input = (pose - meta['input_center']) / scale * size
        in_input = in_input + np.array(size) / 2
        images = [in_input]
        if model.test_cfg.get('flip_test'):
            images.append(mirrored(in_input, size[0]))
        for joints in images:
            codec.heatmap_size = tuple(side // 4 for side in size)
            encoded = codec.encode(joints)
            replies.append(
                tuple(
                    torch.tensor(encoded[key])[None]
                    for key in ('heatmaps', 'displacements')
                )
            )
    codec.heatmap_size = (32, 32)
    replies = iter(replies)

    def answer(feats):
        maps = next(replies)
        assert feats[0].shape[2:] == maps[0].shape[2:]
        return maps

    model.head.forward = answer
    return packed


@pytest.mark.parametrize('flip_test', [False, True])
def test_scales_agree_about_a_person(flip_test):
    """Sizes of 128 x 160, 64 x 80 and 192 x 256: rounded up unevenly."""
    aug_scales = [0.5, 1.5]
    pipeline = make_pipeline(aug_scales, size_factor=64)
    model = make_model(flip_test=flip_test)
    rng = np.random.RandomState(1)
    pose = np.array([75, 60]) + rng.uniform(-20, 20, (1, 17, 2))
    packed = see_perfectly(model, pose, aug_scales, pipeline)
    shapes = [tuple(image.shape[1:]) for image in packed['inputs']]
    assert shapes == [(128, 192), (64, 128), (192, 256)]
    data = pseudo_collate([packed])
    with torch.no_grad():
        pred = model.test_step(data)[0].pred_instances
    np.testing.assert_allclose(pred.keypoints[:1], pose, atol=1e-2)


@pytest.mark.parametrize('options', [{}, {'pose_size_range': (1, 1e3)}])
@pytest.mark.parametrize('y,count', [(30, 1), (-45, 0), (105, 0)])
def test_nobody_is_found_in_the_bars_of_any_size(options, y, count):
    """A picture of 60 x 150 has bars above and below in squares."""
    aug_scales = [0.5, 1.5]
    pipeline = make_pipeline(aug_scales, resize_mode='fit')
    nms = dict(type='ParametricPoseNMS')
    model = make_model(**options, nms=nms if options else None)
    # a peak that ends within the bar, which is 5 cells wide in the smallest
    model.head.decoder.sigma = 1.5
    spread = np.random.RandomState(1).uniform(-20, 20, (1, 17, 2))
    pose = np.array([75, y]) + spread - spread.mean(axis=1, keepdims=True)
    packed = see_perfectly(
        model, pose, aug_scales, pipeline, image=an_image((60, 150))
    )
    with torch.no_grad():
        (sample,) = model.test_step(pseudo_collate([packed]))
    scores = sample.pred_instances.bbox_scores
    assert (scores > 0.5).sum() == count


def test_runs_on_images_of_equal_size_in_a_batch():
    pipeline = make_pipeline([0.5], resize_mode='fit')
    model = make_model(flip_test=True, output_heatmaps=True)
    data = pseudo_collate([pipeline(an_image()), pipeline(an_image())])
    with torch.no_grad():
        results = model.val_step(data)
    first, second = (result.pred_instances for result in results)
    assert first.keypoints.shape[1:] == (17, 2)
    assert second.keypoints.shape[1:] == (17, 2)
    for key in ('heatmaps', 'displacements'):
        one, two = (result.pred_fields.get(key) for result in results)
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)


def test_forward_is_called_with_all_scales():
    """Hooks of the module, as of whoever measures it, see the call."""
    model = make_model()
    packed = pseudo_collate([make_pipeline([0.5])(an_image())])
    seen = []
    model.register_forward_hook(
        lambda module, args, kwargs, output: seen.append((kwargs, output)),
        with_kwargs=True,
    )
    with torch.no_grad():
        results = model.test_step(packed)
    ((kwargs, output),) = seen
    assert output is results
    assert [len(images) for images in kwargs['inputs']] == [1, 1]
    sizes = [tuple(images.shape[-2:]) for images in kwargs['inputs']]
    assert sizes[0] == tuple(2 * side for side in sizes[1])


def test_single_scale_is_the_parents():
    model = make_model(multiscale_test=False)
    pipeline = make_pipeline([0.5])
    packed = pipeline(an_image())
    single = dict(
        inputs=[packed['inputs'][0]], data_samples=[packed['data_samples']]
    )
    with torch.no_grad():
        assert len(model.test_step(single)) == 1
    with pytest.raises(ValueError, match='in 2 scales'):
        model.test_step(pseudo_collate([packed]))
    model = make_model()
    with pytest.raises(ValueError, match='MultiscaleBottomupResize'):
        model.test_step(single)


@pytest.mark.parametrize('flip_test', [False, True])
def test_each_person_from_the_size_that_suits_it(flip_test):
    """Perfect maps at both sizes, so that each person would be there twice."""
    pipeline = make_pipeline([0.5], size_factor=64)
    model = make_model(
        flip_test=flip_test, pose_size_range=(20, 60), nms_dist_thr=0.05
    )
    rng = np.random.RandomState(2)
    small = np.array([30, 40]) + rng.uniform(-8, 8, (1, 17, 2))
    large = np.array([95, 60]) + rng.uniform(-45, 45, (1, 17, 2))
    people = np.concatenate((large, small))
    packed = see_perfectly(model, people, [0.5], pipeline)
    with torch.no_grad():
        result = model.test_step(pseudo_collate([packed]))[0]
    found = result.pred_instances.keypoints
    assert len(found) == 2
    order = found[:, :, 0].mean(axis=1).argsort()[::-1]
    np.testing.assert_allclose(found[order], people, atol=1e-2)


def test_who_suits_two_sizes_is_there_once():
    pipeline = make_pipeline([0.5], size_factor=64)
    options = dict(pose_size_range=(20, 60))
    model = make_model(**options, nms_dist_thr=0.05)
    rng = np.random.RandomState(2)
    pose = np.array([60, 60]) + rng.uniform(-25, 25, (1, 17, 2))
    packed = see_perfectly(model, pose, [0.5], pipeline)
    with torch.no_grad():
        result = model.test_step(pseudo_collate([packed]))[0]
    assert len(result.pred_instances.keypoints) == 1

    model = make_model(**options)
    packed = see_perfectly(model, pose, [0.5], pipeline)
    with pytest.raises(ValueError, match='nms_dist_thr'):
        model.test_step(pseudo_collate([packed]))


def test_pictures_of_other_shapes_are_the_same_in_a_batch():
    pipeline = make_pipeline([0.5, 1.5], resize_mode='fit')
    model = make_model(pose_size_range=(20, 60), nms_dist_thr=0.05)
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    images = [pipeline(an_image(shape)) for shape in ((120, 150), (150, 100))]
    with torch.no_grad():
        together = model.test_step(pseudo_collate(deepcopy(images)))
        alone = [model.test_step(pseudo_collate([one]))[0] for one in images]
    assert sum(len(one.pred_instances) for one in alone) > 2
    for one, other in zip(together, alone, strict=True):
        one, other = one.pred_instances, other.pred_instances
        np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-2)


@pytest.mark.parametrize('options', [{}, dict(pose_size_range=(20, 60))])
def test_pictures_of_other_sizes_are_refused_in_a_batch(options):
    pipeline = make_pipeline([0.5, 1.5], size_factor=32)
    model = make_model(nms_dist_thr=0.05, **options)
    images = [pipeline(an_image(shape)) for shape in ((120, 150), (150, 100))]
    with pytest.raises(ValueError, match="resize_mode='fit'"):
        model.test_step(pseudo_collate(images))
    with torch.no_grad():
        for one in images:
            model.test_step(pseudo_collate([one]))


def test_maps_of_another_stride_are_refused():
    model = make_model()
    model.head.decoder.scale_factor = model.head.decoder.scale_factor * 2
    packed = make_pipeline([0.5], resize_mode='fit')(an_image())
    with pytest.raises(ValueError, match='pixels a cell'):
        model.test_step(pseudo_collate([packed]))


def test_a_size_range_needs_several_sizes():
    model = make_model(multiscale_test=False, pose_size_range=(20, 60))
    packed = make_pipeline([0.5])(an_image())
    single = dict(
        inputs=[packed['inputs'][0]], data_samples=[packed['data_samples']]
    )
    with pytest.raises(ValueError, match='multiscale_test=True'):
        model.test_step(single)


def test_regions_of_all_scales():
    transform = TRANSFORMS.build(
        dict(
            type='MultiscaleBottomupResize',
            input_size=(64, 64),
            size_factor=32,
            resize_mode='expand',
            aug_scales=[0.5, 2],
        )
    )
    # a white dot on black shows where a point of the image goes
    image = np.zeros((100, 150, 3), dtype=np.uint8)
    image[40:45, 100:105] = 255
    results = transform(dict(img=image, ori_shape=(100, 150)))
    assert results['aug_input_sizes'] == [(64, 32), (192, 128)]
    # the height fits exactly, the width is padded
    np.testing.assert_allclose(
        results['aug_input_scales'], [(200, 100), (150, 100)]
    )
    sizes = [results['input_size'], *results['aug_input_sizes']]
    scales = [results['input_scale'], *results['aug_input_scales']]
    for shown, size, scale in zip(results['img'], sizes, scales, strict=True):
        weights = shown[..., 0].astype(float)
        y, x = np.mgrid[: shown.shape[0], : shown.shape[1]]
        seen = np.array([(x * weights).sum(), (y * weights).sum()])
        seen /= weights.sum()
        in_image = seen / size * scale + (75, 50) - np.array(scale) / 2
        np.testing.assert_allclose(in_image, (102, 42), atol=1)


def test_one_scale():
    transform = TRANSFORMS.build(
        dict(type='MultiscaleBottomupResize', input_size=(64, 64))
    )
    image = np.zeros((100, 150, 3), dtype=np.uint8)
    results = transform(dict(img=image, ori_shape=(100, 150)))
    assert results['aug_input_sizes'] == []
    assert results['img'].shape == (64, 64, 3)


def build_pack(**options):
    return TRANSFORMS.build(dict(type='PackMultiscalePoseInputs', **options))


def test_packs_every_scale():
    images = [
        np.full((8 * s, 10 * s, 3), s, dtype=np.uint8) for s in (2, 1, 3)
    ]
    results = dict(
        img=images,
        img_id=5,
        keypoints=np.zeros((1, 17, 2)),
        aug_scales=[0.5, 1.5],
        aug_input_sizes=[(10, 8), (30, 24)],
        aug_input_scales=[np.ones(2), np.ones(2)],
    )
    packed = build_pack()(results)
    assert [tuple(i.shape) for i in packed['inputs']] == [
        (3, 16, 20),
        (3, 8, 10),
        (3, 24, 30),
    ]
    assert [int(i.max()) for i in packed['inputs']] == [2, 1, 3]
    meta = packed['data_samples'].metainfo
    assert meta['aug_scales'] == [0.5, 1.5] and meta['img_id'] == 5
    assert meta['aug_input_sizes'] == [(10, 8), (30, 24)]
    assert 'keypoints' in packed['data_samples'].gt_instances
    few = build_pack(meta_keys=('img_id',))(results)['data_samples'].metainfo
    assert set(few) == {
        'img_id',
        'aug_scales',
        'aug_input_sizes',
        'aug_input_scales',
    }


def test_one_size_only():
    with pytest.raises(ValueError, match='aug_scales'):
        build_pack()(dict(img=np.zeros((4, 4, 3), dtype=np.uint8)))
