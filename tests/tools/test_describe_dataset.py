"""What the description of a data set counts, by hand."""

import json

import pytest

from rmpe_spm.coco.annotations import KeypointAnnotations


def person(name, area, flags, iscrowd=0, image_id=1):
    keypoints = [value for flag in flags for value in (1, 1, flag)]
    return dict(
        id=name,
        bbox=[0, 0, 1, 1],
        area=area,
        keypoints=keypoints,
        num_keypoints=sum(flag > 0 for flag in flags),
        iscrowd=iscrowd,
        image_id=image_id,
    )


def test_people_sizes_and_visibility_are_counted(tool):
    annotations = dict(
        images=[
            dict(id=number, width=width, height=480)
            for number, width in enumerate((640, 320, 1280, 640))
        ],
        annotations=[
            person(1, 10**2, [2, 2]),
            person(2, 32**2, [2, 1]),
            person(3, 40**2, [2, 1], image_id=2),
            person(4, 96**2, [2, 0], image_id=0),
            person(5, 97**2, [1, 0], image_id=0),
            person(6, 500**2, [0, 0]),
            person(7, 500**2, [2, 2], iscrowd=1),
        ],
    )
    found = tool.describe(KeypointAnnotations(annotations))
    assert found['pictures'] == 4
    assert found['people'] == 5
    assert found['people a picture'] == 1.25
    assert found['alone'] == pytest.approx(1 / 3)
    assert found['median sqrt(area)'] == 40
    # 10 and 32 in a picture 480 long, 40 in 1280, 96 and 97 in 640
    assert found['sqrt(area) p50'] == pytest.approx(32 * 640 / 480)
    assert found['sqrt(area) p75'] == pytest.approx(96)
    assert found['small'] == pytest.approx(0.2)
    assert found['medium'] == pytest.approx(0.6)
    assert found['large'] == pytest.approx(0.2)
    assert found['seen'] == pytest.approx(0.5)
    assert found['covered'] == pytest.approx(0.3)
    assert found['not labelled'] == pytest.approx(0.2)
    assert found['crowd regions'] == 1


def test_files_that_cannot_be_described(tool, tmp_path, refusal):
    path = tmp_path / 'empty.json'
    path.write_text(json.dumps(dict(images=[], annotations=[])))
    for name, said in (('empty', 'nobody with'), ('none', 'no file')):
        err = refusal(tool.main, tmp_path / f'{name}.json')
        assert said in err and f'{name}.json' in err
