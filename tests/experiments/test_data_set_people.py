import json

import mpii_files
import pytest

from rmpe_spm.errors import ConfigError
from rmpe_spm.experiments.box_perturbation import read_people
from rmpe_spm.mpii.dataset import MpiiMultiPersonDataset


def test_coco_is_read_as_it_is(tiny_config, tiny_coco):
    people = read_people(tiny_config.test_dataloader.dataset)
    assert people == json.loads((tiny_coco / 'annotations.json').read_text())


@pytest.mark.parametrize(
    'kind', ['MpiiMultiPersonDataset', MpiiMultiPersonDataset]
)
def test_people_of_mpii(tmp_path, kind):
    mpii_files.write_release(
        tmp_path / 'mpii.mat',
        {
            '000000007.jpg': [mpii_files.standing_person(100, 120)],
            '000000009.jpg': [
                mpii_files.standing_person(100, 120),
                mpii_files.standing_person(180, 130),
            ],
            '000000011.jpg': [mpii_files.standing_person(100, 120)],
        },
        train=[1, 1, 0],
    )
    dataset = dict(
        type=kind,
        data_root=str(tmp_path),
        ann_file='mpii.mat',
        # what a bottom-up model has, and detections that are not there
        data_mode='bottomup',
        bbox_file='none.json',
        filter_cfg=dict(bbox_score_thr=0.5),
        pipeline=[dict(type='LoadImage')],
        split='train',
    )
    people = read_people(dataset)
    assert people['images'] == [dict(id=7), dict(id=9)]
    assert [p['image_id'] for p in people['annotations']] == [7, 9, 9]
    # the square of 200 x scale about (100, 120), 15 x scale further down
    expected = pytest.approx([20, 52, 160, 160])
    assert people['annotations'][0]['bbox'] == expected
    several = read_people(dict(dataset, protocol='group', min_people=2))
    assert several['images'] == [dict(id=9)]


@pytest.mark.parametrize(
    'kind, content, said',
    [
        ('CocoDataset', None, r'ann_file: .*people\.json does not exist'),
        ('CocoDataset', b'\x89HDF', r'people\.json is no JSON file'),
        ('MpiiMultiPersonDataset', b'[]', 'test_dataloader.dataset: '),
    ],
)
def test_what_cannot_be_read(tmp_path, kind, content, said):
    path = tmp_path / 'people.json'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        read_people(dict(type=kind, ann_file=str(path)))
