"""Pictures that are missing, or of another size than listed."""

import json
import shutil
from contextlib import nullcontext

import numpy as np
import PIL.Image
import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmpose.registry import DATASETS

from rmpe_spm.coco import loading
from rmpe_spm.coco import loading as module
from rmpe_spm.coco.annotations import KeypointAnnotations
from rmpe_spm.coco.loading import check_images, check_sizes
from rmpe_spm.errors import ConfigError


@pytest.fixture
def build(tiny_config, tiny_coco, tmp_path):
    """Build data sets of images in a folder of which the third is missing."""
    images = tmp_path / 'images'
    shutil.copytree(tiny_coco / 'images', images)
    (images / '000000000003.jpg').unlink()
    settings = tiny_config.test_dataloader.dataset
    settings.data_prefix.img = str(images)

    def build(**changes):
        return DATASETS.build(dict(settings, **changes))

    build.missing = images / '000000000003.jpg'
    build.settings = settings
    return build


def missing(number):
    return pytest.raises(
        ConfigError, match=rf'^1 of the {number} .*003\.jpg \(image id 3\)'
    )


def test_images_must_be_there(build, tiny_coco):
    with missing(4):
        check_images(build())
    with missing(4):
        check_images(ConcatDataset([build(indices=2), build()]))
    with missing(4):
        check_images(RepeatDataset(build(), 2))
    build.missing.write_bytes(b'<html>')
    with missing(4):
        check_images(build())
    shutil.copy(tiny_coco / 'images' / '000000000001.jpg', build.missing)
    check_images(build())


def test_only_images_that_are_read_must_be_there(build, tiny_coco, tmp_path):
    check_images(build(indices=2))
    check_images(build(sample_interval=2))
    box = dict(category_id=1, bbox=[1, 1, 20, 20], score=0.5)
    boxes = tmp_path / 'boxes.json'
    for images in ((1, 2), (1, 3)):
        boxes.write_text(json.dumps([dict(box, image_id=i) for i in images]))
        with missing(2) if 3 in images else nullcontext():
            check_images(build(bbox_file=str(boxes)))
    # nobody in the image: read by bottom-up models alone
    content = json.loads((tiny_coco / 'annotations.json').read_text())
    for annotation in content['annotations']:
        if annotation['image_id'] == 3:
            annotation['keypoints'] = [0] * 51
    path = tmp_path / 'nobody.json'
    path.write_text(json.dumps(content))
    check_images(build(ann_file=str(path)))
    with missing(4):
        check_images(build(ann_file=str(path), data_mode='bottomup'))


@pytest.fixture
def sized(build, tiny_coco):
    """Check data sets whose third picture, listed as 96x72, is another."""
    whole = tiny_coco / 'images' / '000000000001.jpg'

    def sized(dataset=None, size=(96, 72), orientation=1, **changes):
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        PIL.Image.fromarray(np.zeros((*size[::-1], 3), np.uint8)).save(
            build.missing, exif=exif
        )
        dataset = dataset or build(**changes)
        path = str(tiny_coco / 'annotations.json')
        check_sizes(dataset, {path: KeypointAnnotations.read(path)})
        return dataset

    shutil.copy(whole, build.missing)
    return sized


@pytest.mark.parametrize(
    'picture, said',
    [
        (dict(size=(72, 96)), 'listed as 96x72.*swapped'),
        (dict(size=(96, 71)), 'loaded as 96x71 pixels, but listed as 96x72'),
        (dict(orientation=6), 'as 72x96 .*EXIF orientation 6.*ignore_orient'),
        (dict(orientation=8), 'as 72x96 .*EXIF orientation 8.*ignore_orient'),
    ],
)
@pytest.mark.parametrize('test_mode', [True, False])
def test_pictures_of_another_size(sized, picture, said, test_mode):
    with pytest.raises(
        ConfigError, match=rf'003\.jpg \(image id 3\) is .*{said}'
    ):
        sized(**picture, test_mode=test_mode)


def test_pictures_of_the_listed_size(sized):
    sized()
    # turned by half, or loaded as they are stored
    sized(orientation=3)
    stored = dict(type='LoadImage', color_type='color_ignore_orientation')
    turned = sized(orientation=6, pipeline=[stored])[4]
    assert (turned['img_id'], turned['img_shape']) == (3, (72, 96))


@pytest.mark.parametrize('load', ['LoadImage', 'LoadImageOrSkip'])
@pytest.mark.parametrize('wrapped', [False, True])
def test_others_are_compared_when_they_are_loaded(
    sized, build, monkeypatch, logged, load, wrapped
):
    """In training the picture is left out, and said so once."""
    monkeypatch.setattr(module, '_SAMPLE', 1)
    said = logged(loading)
    changes = dict(pipeline=[dict(type=load)], test_mode=False)
    parts = None
    if wrapped:
        inner = dict(
            build.settings,
            pipeline=[],
            test_mode=False,
            ann_file='annotations.json',
        )
        parts = DATASETS.build(
            dict(
                type='CombinedDataset',
                metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
                datasets=[inner, inner],
                pipeline=changes['pipeline'],
            )
        )
    dataset = sized(parts, size=(72, 96), **changes)
    assert not said
    for _ in range(2):
        found = [dataset.prepare_data(i) for i in range(len(dataset))]
    assert sum(each is None for each in found) == 2 * (1 + wrapped)
    (text,) = said
    assert 'is loaded as 72x96 pixels' in text and 'is left out' in text
    if not wrapped:
        dataset = sized(size=(72, 96), pipeline=[dict(type=load)])
        with pytest.raises(ConfigError, match='swapped'):
            list(map(dataset.prepare_data, range(len(dataset))))
