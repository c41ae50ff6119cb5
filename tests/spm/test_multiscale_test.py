"""Images in several sizes: transforms, estimator and what it predicts."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmpose.registry import TRANSFORMS
from spm_maps import FLIP, make_estimator, mirrored, perfect_maps

CODEC = dict(
    type='HierarchicalSPRCodec',
    input_size=(128, 128),
    heatmap_size=(32, 32),
    decode_max_instances=5,
)
META = 'img_id img_path ori_shape input_size input_center input_scale'


def make_pipeline(aug_scales, size_factor=16, resize_mode='expand'):
    resize = dict(
        type='MultiscaleBottomupResize',
        input_size=(128, 128),
        size_factor=size_factor,
        resize_mode=resize_mode,
        aug_scales=aug_scales,
    )
    meta_keys = (*META.split(), 'flip_indices')
    pack = dict(type='PackMultiscalePoseInputs', meta_keys=meta_keys)
    return Compose([resize, pack])


def make_model(multiscale_test=True, **test_cfg):
    test_cfg['multiscale_test'] = multiscale_test
    return make_estimator(CODEC, 'MultiscaleBottomupPoseEstimator', **test_cfg)


def an_image(shape=(120, 150)):
    return dict(
        img=np.random.RandomState(0).randint(0, 255, (*shape, 3), np.uint8),
        ori_shape=shape,
        img_shape=shape,
        img_id=3,
        img_path='a.jpg',
        flip_indices=FLIP,
    )


def predict(model, *packed):
    with torch.no_grad():
        results = model.test_step(pseudo_collate(list(packed)))
    return [result.pred_instances for result in results]


def predict_perfectly(model, people, pipeline, image=None):
    """Predict with a network that is right about people at every scale."""
    codec = model.head.decoder
    packed = pipeline(image or an_image())
    meta = packed['data_samples'].metainfo
    sizes = [meta['input_size'], *meta['aug_input_sizes']]
    scales = [meta['input_scale'], *meta['aug_input_scales']]
    replies = []
    for size, scale in zip(sizes, scales, strict=True):
        in_input = (people - meta['input_center']) / scale * size
        in_input = in_input + np.array(size) / 2
        codec.heatmap_size = tuple(side // 4 for side in size)
        replies.append(perfect_maps(codec, [in_input]))
        if model.test_cfg.get('flip_test'):
            replies.append(perfect_maps(codec, [mirrored(in_input, size[0])]))
    replies = iter(replies)

    def answer(feats):
        maps = next(replies)
        assert feats[0].shape[2:] == maps[0].shape[2:]
        return maps

    model.head.forward = answer
    (found,) = predict(model, packed)
    return found


def people_at(seed, *places):
    """People of 17 joints around (x, y), within a distance on each axis."""
    places = np.array(places, float)[:, None]
    spread = np.random.RandomState(seed).uniform(-1, 1, (len(places), 17, 2))
    return places[..., :2] + places[..., 2:] * spread


def test_packs_every_scale():
    images = [np.full((8 * s, 10 * s, 3), s, np.uint8) for s in (2, 1, 3)]
    scales = dict(
        aug_scales=[0.5, 1.5],
        aug_input_sizes=[(10, 8), (30, 24)],
        aug_input_scales=[np.ones(2), np.ones(2)],
    )
    results = dict(img=images, img_id=5, keypoints=np.zeros((1, 17, 2)))
    packed = pack(results | scales)
    shapes = [tuple(image.shape) for image in packed['inputs']]
    assert shapes == [(3, 16, 20), (3, 8, 10), (3, 24, 30)]
    assert [int(i.max()) for i in packed['inputs']] == [2, 1, 3]
    meta = packed['data_samples'].metainfo
    assert meta['img_id'] == 5
    assert meta['aug_scales'] == [0.5, 1.5]
    assert meta['aug_input_sizes'] == [(10, 8), (30, 24)]
    assert 'keypoints' in packed['data_samples'].gt_instances
    few = pack(results | scales, meta_keys=('img_id',))['data_samples']
    assert set(few.metainfo) == {'img_id', *scales}


def test_a_picture_in_a_single_size():
    image = np.zeros((100, 150, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match='aug_scales'):
        pack(dict(img=image))
    resize = dict(type='MultiscaleBottomupResize', input_size=(64, 64))
    alone = TRANSFORMS.build(resize)(dict(img=image, ori_shape=(100, 150)))
    assert alone['aug_input_sizes'] == []
    assert alone['img'].shape == (64, 64, 3)


@pytest.mark.parametrize('flip_test', [False, True])
def test_scales_agree_about_a_person(flip_test):
    """Sizes of 128 x 160, 64 x 80 and 192 x 256: rounded up unevenly."""
    pipeline = make_pipeline([0.5, 1.5], size_factor=64)
    shapes = [image.shape[1:] for image in pipeline(an_image())['inputs']]
    assert shapes == [(128, 192), (64, 128), (192, 256)]
    pose = people_at(1, (75, 60, 20))
    found = predict_perfectly(
        make_model(flip_test=flip_test), pose, pipeline
    ).keypoints
    np.testing.assert_allclose(found[:1], pose, atol=1e-2)


@pytest.mark.parametrize('options', [{}, {'pose_size_range': (1, 1e3)}])
@pytest.mark.parametrize(('y', 'count'), [(30, 1), (-45, 0), (105, 0)])
def test_nobody_is_found_in_the_bars_of_any_size(options, y, count):
    """A picture of 60 x 150 has bars above and below in squares."""
    pipeline = make_pipeline([0.5, 1.5], resize_mode='fit')
    nms = dict(type='ParametricPoseNMS')
    model = make_model(**options, nms=nms if options else None)
    # a peak that ends within the bar, which is 5 cells wide in the smallest
    model.head.decoder.sigma = 1.5
    pose = people_at(1, (0, 0, 20))
    pose += np.array([75, y]) - pose.mean(axis=1, keepdims=True)
    found = predict_perfectly(model, pose, pipeline, an_image((60, 150)))
    assert (found.bbox_scores > 0.5).sum() == count


def test_forward_is_called_with_all_scales():
    """Hooks of the module, as of whoever measures it, see the call."""
    model = make_model()
    seen = []
    model.register_forward_hook(
        lambda module, args, kwargs, output: seen.append((kwargs, output)),
        with_kwargs=True,
    )
    with torch.no_grad():
        packed = make_pipeline([0.5])(an_image())
        results = model.test_step(pseudo_collate([packed]))
    ((kwargs, output),) = seen
    assert output is results
    assert [len(images) for images in kwargs['inputs']] == [1, 1]
    large, small = (images.shape[-2:] for images in kwargs['inputs'])
    assert tuple(large) == tuple(2 * side for side in small)


def test_single_scale_is_the_parents():
    packed = make_pipeline([0.5])(an_image())
    single = dict(packed, inputs=packed['inputs'][0])
    model = make_model(multiscale_test=False)
    assert len(predict(model, single)) == 1
    with pytest.raises(ValueError, match='images in several scales'):
        predict(model, packed)
    with pytest.raises(ValueError, match='images in one scale'):
        predict(make_model(), single)


RANGE = dict(pose_size_range=(20, 60))
NMS = dict(nms_dist_thr=0.05)


@pytest.mark.parametrize('flip_test', [False, True])
def test_each_person_from_the_size_that_suits_it(flip_test):
    """Perfect maps at both sizes, so that each person would be there twice."""
    model = make_model(flip_test=flip_test, **RANGE, **NMS)
    people = people_at(2, (30, 40, 8), (95, 60, 45))
    pipeline = make_pipeline([0.5], size_factor=64)
    found = predict_perfectly(model, people, pipeline).keypoints
    assert len(found) == 2
    order = found[:, :, 0].mean(axis=1).argsort()
    np.testing.assert_allclose(found[order], people, atol=1e-2)


def test_who_suits_two_sizes_is_there_once():
    pipeline = make_pipeline([0.5], size_factor=64)
    pose = people_at(2, (60, 60, 25))
    model = make_model(**RANGE, **NMS)
    assert len(predict_perfectly(model, pose, pipeline)) == 1


@pytest.mark.parametrize('options', [dict(flip_test=True), RANGE | NMS])
def test_pictures_of_other_shapes_are_the_same_in_a_batch(options):
    pipeline = make_pipeline([0.5, 1.5], resize_mode='fit')
    model = make_model(**options)
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    images = [pipeline(an_image(shape)) for shape in ((120, 150), (150, 100))]
    together = predict(model, *deepcopy(images))
    alone = [predict(model, one)[0] for one in images]
    assert sum(map(len, alone)) > 2
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-2)


@pytest.mark.parametrize('options', [{}, RANGE])
def test_pictures_of_other_sizes_are_refused_in_a_batch(options):
    pipeline = make_pipeline([0.5, 1.5], size_factor=32)
    model = make_model(**NMS, **options)
    images = [pipeline(an_image(shape)) for shape in ((120, 150), (150, 100))]
    with pytest.raises(ValueError, match="resize_mode='fit'"):
        predict(model, *images)
    for one in images:
        predict(model, one)


def test_maps_of_another_stride_are_refused():
    model = make_model()
    model.head.decoder.scale_factor = model.head.decoder.scale_factor * 2
    packed = make_pipeline([0.5], resize_mode='fit')(an_image())
    with pytest.raises(ValueError, match='pixels a cell'):
        predict(model, packed)


def pack(results, **options):
    kind = dict(type='PackMultiscalePoseInputs', **options)
    return TRANSFORMS.build(kind)(results)
