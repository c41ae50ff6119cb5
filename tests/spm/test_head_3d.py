"""SPM's head in 3D: losses, predictions, and the transform of depths."""

import numpy as np
import pytest
import torch
from mmpose.registry import TRANSFORMS
from people_in_space import PLAIN, bodies, encode, focal, network_output
from spm_maps import FLIP, SIZE, answer, make_head, make_samples, mirrored

from rmpe_spm.cameras import project


def head_3d(**options):
    codec = dict(type='HierarchicalSPR3DCodec', **options.pop('codec', {}))
    return make_head(codec=codec, **options)


PLACES = [(-600, 0, 3000), (500, 60, 3600)]


def samples_3d(codec, cameras):
    """A picture by each camera, and what a network says that is right."""
    people = [bodies(PLACES, seed=i, spread=150) for i in range(len(cameras))]
    for own, camera in zip(people, cameras, strict=True):
        # the same size in the picture, whatever the focal length
        own[..., 2] *= camera['K'][0][0] / 150
    samples = make_samples(codec, map(project, people, cameras))
    maps = []
    for sample, own, camera in zip(samples, people, cameras, strict=True):
        encoded = encode(codec, own, camera)
        for key in ('depths', 'depth_weights'):
            sample.gt_fields.set_field(torch.tensor(encoded[key]), key)
        sample.set_metainfo(dict(camera=camera))
        maps.append(network_output(encoded))
    maps = tuple(map(torch.stack, zip(*maps, strict=True)))
    return people, samples, maps


LONG = dict(K=[[600.0, 0, 64], [0, 600, 48], [0, 0, 1]])


def assert_in_space(instances, people, atol=0.1):
    order = np.argsort(instances.keypoints[..., 0].mean(axis=1))
    found = instances.keypoints_3d[order]
    assert found.dtype == np.float32 and len(found) == len(people)
    np.testing.assert_allclose(found, people, atol=atol)


@pytest.mark.parametrize(
    'test_cfg',
    [{}, dict(nms=dict(type='ParametricPoseNMS', preset='learned'))],
    ids=['plain', 'nms'],
)
def test_two_cameras_in_a_batch(test_cfg):
    head = head_3d()
    people, samples, maps = samples_3d(head.decoder, [PLAIN, LONG])
    preds = answer(head, maps).predict(None, samples, test_cfg)
    for pred, own in zip(preds, people, strict=True):
        assert_in_space(pred, own)
    assert people[1][..., 2].mean() > 3.5 * people[0][..., 2].mean()
    # no camera, no place in space; the picture's plane is all there
    del samples[0].camera
    preds = answer(head, maps).predict(None, samples, test_cfg)
    assert 'keypoints_3d' not in preds[0] and len(preds[0]) == 2
    assert_in_space(preds[1], people[1])
    # nobody is a result too
    nobody = tuple(0 * own for own in maps)
    empty = answer(head, nobody).predict(None, samples, test_cfg)[1]
    assert empty.keypoints_3d.shape == (0, 17, 3)


def test_an_input_that_shows_a_part_of_the_picture():
    """Twice as large and moved, as a resize before it has left it."""
    head = head_3d()
    people, samples, maps = samples_3d(head.decoder, [PLAIN])
    # input pixel u is picture pixel u / 2 + (10, 20)
    picture = dict(K=[[75.0, 0, 42], [0, 75, 44], [0, 0, 1]])
    region = np.array(SIZE) / 2
    samples[0].set_metainfo(
        dict(
            camera=picture,
            input_scale=region,
            input_center=region / 2 + (10, 20),
        )
    )
    (pred,) = answer(head, maps).predict(None, samples, {})
    assert_in_space(pred, people[0])


@pytest.mark.parametrize('offsets', [False, True])
def test_flip_test_agrees_with_itself(offsets):
    options = dict(keypoint_heatmaps=True, keypoint_offsets=True)
    maps_of = {f'generate_{key}': True for key in options}
    maps_of['depth_locations'] = ('root', 'joint')
    head = head_3d(**options, codec=maps_of) if offsets else head_3d()
    codec = head.decoder
    (own,), samples, maps = samples_3d(codec, [PLAIN])
    seen = mirrored(project(own, PLAIN), SIZE[0])
    encoded = codec.encode(seen, None, own[:, FLIP, 2], focal(PLAIN))
    back = tuple(part[None] for part in network_output(encoded))
    pred, fields = answer(head, maps, back).predict(
        [None, None], samples, dict(flip_test=True, output_heatmaps=True)
    )
    assert_in_space(pred[0], own, atol=1)
    num_maps = 34 + 34 + 2 * 17 + 1 if offsets else 34 + 18
    assert fields[0].displacements.shape[0] == num_maps


def test_pictures_with_and_without_depths_train_together():
    head = head_3d(
        depth_loss=dict(type='MapL1Loss', loss_weight=2.0),
        root_depth_loss=dict(type='MapL1Loss', loss_weight=3.0),
    )
    _, samples, maps = samples_3d(head.decoder, [PLAIN, PLAIN])
    flat = samples[1].gt_fields
    flat.depths, flat.depth_weights = 0 * flat.depths, 0 * flat.depth_weights
    depths = maps[1][0, -18:]
    output = (0 * maps[1]).requires_grad_()
    head.forward_stages = lambda feats: [(maps[0], output)]
    losses = head.loss(None, samples)
    expected = 0.01 * depths.abs().flatten(1).sum(1) / 2
    torch.testing.assert_close(losses['loss/depth'], 2 * expected[:-1].sum())
    torch.testing.assert_close(losses['loss/root_depth'], 3 * expected[-1])
    assert losses['loss/heatmap'] == 0
    sum(losses.values()).backward()
    assert output.grad[0, -18:].any() and not output.grad[1, -18:].any()
    assert output.grad[1, :-18].any()
    head.forward_stages = lambda feats: [maps]
    for sample, own in zip(samples, maps[1], strict=True):
        sample.gt_fields.displacements = own[:-18]
    assert all(loss == 0 for loss in head.loss(None, samples).values())


@pytest.mark.parametrize('locations', [('root',), ('joint', 'root')])
@pytest.mark.parametrize('stage', [None, dict(type='MoveNetStage')])
def test_the_head_predicts_as_many_maps(stage, locations):
    head = head_3d(stage=stage, codec=dict(depth_locations=locations))
    heatmaps, output = head([torch.randn(2, 8, 24, 32)])
    assert heatmaps.shape == (2, 1, 24, 32)
    assert output.shape[1] == 34 + 17 * len(locations) + 1
    assert set(head.loss_module) == {
        'heatmap', 'displacement', 'depth', 'root_depth'
    }  # fmt: skip


def test_the_last_channels_are_for_depths():
    head = head_3d(stage=dict(type='MoveNetStage', depth_channels=3))
    feature = torch.randn(1, 8, 24, 32).requires_grad_()
    heatmaps, output = head([feature])
    (heatmaps.sum() + output[:, :34].sum()).backward(retain_graph=True)
    assert feature.grad[:, :5].any() and not feature.grad[:, 5:].any()
    output[:, 34:].sum().backward()
    assert feature.grad[:, 5:].any()


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('window', [False, True])
def test_depths_follow_what_warps_the_picture(flip, window):
    """A mirrored person's sides change, and the focal length is the input's:
    the person in the input is one seen by the input's camera.
    """
    people = bodies(PLACES, spread=150)
    pixels = project(people, PLAIN)
    low, high = pixels.min(1), pixels.max(1)
    results = dict(
        img=np.zeros((SIZE[1], SIZE[0], 3), np.uint8),
        img_shape=SIZE[::-1],
        keypoints=pixels.astype(np.float32),
        keypoints_visible=np.ones((2, 17), np.float32),
        bbox=np.concatenate((low, high), 1).astype(np.float32),
        flip_indices=FLIP,
        keypoints_cam=people,
        camera=PLAIN,
    )
    affine = dict(
        type='BottomupInstanceAffine' if window else 'BottomupRandomAffine',
        input_size=(64, 64),
        rotate_factor=20.0,
        shear_factor=0.0,
    )
    if window:
        affine['picture_size'] = (100, 100)
    steps = [dict(type='RandomFlip', prob=float(flip)), affine]
    if not window:
        steps = steps[::-1]
    np.random.seed(0)  # noqa: NPY002
    for step in (*steps, dict(type='KeypointDepths')):
        results = TRANSFORMS.build(step)(results)
    depths, focal_in = results['keypoint_depths'], results['focal_length']
    expected = people[:, FLIP, 2] if flip else people[..., 2]
    np.testing.assert_array_equal(depths, expected)
    # a pixel's length grows as the focal length does
    original = pixels[:, FLIP] if flip else pixels
    lengths = [
        np.linalg.norm(own[:, 1:] - own[:, :1], axis=-1)
        for own in (results['keypoints'], original)
    ]
    np.testing.assert_allclose(
        lengths[0] / lengths[1], focal_in / 150, rtol=1e-3
    )


def test_depths_without_a_camera_and_pictures_without_depths():
    transform = TRANSFORMS.build(dict(type='KeypointDepths'))
    flat = dict(img_path='a.jpg', keypoints=np.zeros((1, 17, 2)))
    assert transform(dict(flat)) == flat
    with pytest.raises(ValueError, match='a.jpg has keypoints_cam but no'):
        transform(dict(flat, keypoints_cam=np.zeros((1, 17, 3))))
