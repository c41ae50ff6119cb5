from pathlib import Path

import pytest

from rmpe_spm.coco.validation import make_notes

SIZES = {4: (20, 10)}


def person(bbox=(1, 1, 5, 5), keypoints=(1, 2, 2, 3, 4, 1), **more):
    known = dict(id=7, image_id=4, bbox=bbox, keypoints=keypoints)
    return {**known, **more}


def notes(*people):
    return list(make_notes(Path('a.json'), people, SIZES))


def test_good_people_need_no_note():
    # on the border, and not visible outside of it
    assert not notes(
        person(),
        person(keypoints=[20, 10, 2, 0, 0, 1]),
        person(keypoints=[1, 2, 2, 50, 50, 0]),
        person(bbox=[19, -4, 5, 5]),
    )


@pytest.mark.parametrize(
    ('bad', 'said'),
    [
        (dict(bbox=[1, 1, 0, 5]), 'a box that is empty'),
        (dict(bbox=[20, 1, 5, 5]), 'a box outside'),
        (dict(bbox=[-5, 1, 5, 5]), 'a box outside'),
        (dict(keypoints=[1, float('nan'), 0, 3, 4, 1]), 'not finite'),
        (dict(keypoints=[20.5, 2, 2, 3, 4, 1]), 'keypoints outside'),
        (dict(keypoints=[1, -1, 1, 3, 4, 1]), 'keypoints outside'),
        (dict(keypoints=[1, 2, 0, 3, 4, 0]), 'no visible keypoint'),
    ],
)
def test_each_problem_is_counted_and_the_first_is_named(bad, said):
    (note,) = notes(person(), person(**bad), person(**bad))
    assert said in note and '2 of 3 annotations' in note
    assert 'annotation 7 of image 4' in note
    assert not notes(person(), person(**bad, iscrowd=1))


def test_images_without_people_are_counted():
    sizes = {3: (9, 9), **SIZES, 5: (9, 9)}
    people = [person(), person(image_id=5, iscrowd=1)]
    (note,) = make_notes(Path('a.json'), people, sizes)
    assert note.startswith('a.json: 1 of 3 images have nobody annotated: not')
    assert note.endswith('(first: image 3)')
