import json

import numpy as np
import pytest

from rmpe_spm.experiments.box_perturbation import (
    perturb_boxes,
    write_perturbed_boxes,
)

POSE = [20, 30, 2] * 17


def person(image_id, bbox, **changes):
    return dict(
        image_id=image_id,
        category_id=1,
        bbox=bbox,
        iscrowd=0,
        keypoints=POSE,
        num_keypoints=17,
        **changes,
    )


def detection(image_id, bbox, score):
    return dict(image_id=image_id, category_id=1, bbox=bbox, score=score)


@pytest.fixture
def annotations():
    return dict(
        images=[dict(id=i, width=200, height=150) for i in (1, 2, 3)],
        annotations=[
            person(1, [10, 20, 40, 80]),
            person(1, [100, 20, 40, 80]),
            # reaches out of the image: 180 to 199 is left
            person(2, [180, 0, 50, 100]),
        ],
    )


def xyxy(entries):
    boxes = np.array([entry['bbox'] for entry in entries])
    boxes[:, 2:] += boxes[:, :2]
    return boxes


@pytest.mark.parametrize('kind', ['shift', 'scale', 'truncation'])
def test_size_0_is_the_annotated_boxes(annotations, kind):
    entries = perturb_boxes(annotations, kind, 0)
    expected = [[10, 20, 50, 100], [100, 20, 140, 100], [180, 0, 199, 100]]
    np.testing.assert_allclose(xyxy(entries), expected)
    assert [entry['image_id'] for entry in entries] == [1, 1, 2]
    assert all(e['score'] == 1 and e['category_id'] == 1 for e in entries)


def test_errors_have_their_size_and_seeds_their_directions(annotations):
    clean = xyxy(perturb_boxes(annotations, 'truncation', 0))
    cut = perturb_boxes(annotations, 'truncation', 0.25)
    lengths = np.tile(clean[:, 2:] - clean[:, :2], 2)
    moved = np.abs(xyxy(cut) - clean) / lengths
    np.testing.assert_allclose(np.sort(moved)[:, -1], 0.25)
    np.testing.assert_allclose(np.sort(moved)[:, :-1], 0)
    assert cut == perturb_boxes(annotations, 'truncation', 0.25)
    others = [
        perturb_boxes(annotations, 'truncation', 0.25, seed=seed)
        for seed in range(1, 5)
    ]
    assert any(other != cut for other in others)


def test_only_evaluated_people_have_boxes(annotations):
    annotations['annotations'] += [
        dict(person(3, [10, 10, 20, 20]), iscrowd=1),
        dict(person(3, [10, 10, 20, 20]), num_keypoints=0),
        dict(person(3, [10, 10, 20, 20]), keypoints=[0] * 51),
        person(3, [10, 10, 0, 20]),
        person(3, [300, 10, 20, 20]),
        person(3, [float('nan'), 10, 20, 20]),
    ]
    entries = perturb_boxes(annotations, 'shift', 0.1)
    assert [entry['image_id'] for entry in entries] == [1, 1, 2]


def test_amplified_detections(annotations):
    detections = [
        detection(1, [14, 20, 40, 80], 0.9),
        # redundant: of the first person, too
        detection(1, [10, 24, 40, 80], 0.8),
        # of nobody
        detection(1, [60, 100, 30, 30], 0.7),
        detection(1, [98, 20, 44, 80], 0.6),
        # another image of the same place
        detection(3, [14, 20, 40, 80], 0.5),
    ]
    doubled = perturb_boxes(annotations, 'amplification', 2, detections)
    expected = [
        [18, 20, 58, 100],
        [10, 28, 50, 108],
        [60, 100, 90, 130],
        [96, 20, 144, 100],
        [14, 20, 54, 100],
    ]
    np.testing.assert_allclose(xyxy(doubled), expected)
    assert [d['score'] for d in doubled] == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert perturb_boxes(annotations, 'amplification', 1, detections) == (
        detections
    )
    clean = perturb_boxes(annotations, 'amplification', 0, detections)
    expected[0] = expected[1] = [10, 20, 50, 100]
    expected[3] = [100, 20, 140, 100]
    np.testing.assert_allclose(xyxy(clean), expected)


def test_matches_are_one_to_one():
    """The second detection overlaps A more, but A has a better one."""
    people = [person(1, [10, 20, 40, 80]), person(1, [24, 20, 40, 80])]
    annotations = dict(
        images=[dict(id=1, width=200, height=150)], annotations=people
    )
    detections = [
        detection(1, [10, 20, 40, 80], 0.9),
        detection(1, [16, 20, 40, 80], 0.8),
    ]
    clean = perturb_boxes(annotations, 'amplification', 0, detections)
    assert [d['bbox'] for d in clean] == [p['bbox'] for p in people]


def test_bad_detections_are_left_out(annotations):
    good = detection(2, [180, 5, 20, 90], 0.9)
    bad = [
        detection(9, [10, 20, 40, 80], 0.9),
        detection(1, [10, 20, 0, 80], 0.9),
        detection(1, [10, 20, 40, float('nan')], 0.9),
        detection(1, [250, 20, 40, 80], 0.9),
    ]
    entries = perturb_boxes(annotations, 'amplification', 1, [*bad, good])
    assert entries == [good]
    assert perturb_boxes(annotations, 'amplification', 2, []) == []


def test_refusals(annotations):
    with pytest.raises(ValueError, match='shift, scale'):
        perturb_boxes(annotations, 'blur', 0.1)
    with pytest.raises(ValueError, match='needed for amplification'):
        perturb_boxes(annotations, 'amplification', 2)
    with pytest.raises(ValueError, match='only there'):
        perturb_boxes(annotations, 'shift', 0.1, [])


def test_images_without_a_size_clip_nothing(annotations):
    annotations['images'][1] = dict(id=2)
    entries = perturb_boxes(annotations, 'scale', 0)
    expected = [[10, 20, 50, 100], [100, 20, 140, 100], [180, 0, 230, 100]]
    np.testing.assert_allclose(xyxy(entries), expected)
    bad = [
        detection(2, [1, 1, 0, 5], 0.9),
        detection(2, [float('nan'), 1, 5, 5], 0.9),
    ]
    far = detection(2, [5000, 1, 5, 5], 0.9)
    doubled = perturb_boxes(annotations, 'amplification', 2, [*bad, far])
    assert doubled == [far]


def test_files(annotations, tmp_path):
    boxes = tmp_path / 'boxes.json'
    boxes.write_text(json.dumps([detection(1, [14, 20, 40, 80], 0.9)]))
    out = write_perturbed_boxes(
        tmp_path / 'new' / 'out.json', annotations, 'amplification', 2, boxes
    )
    (entry,) = json.loads(out.read_text())
    np.testing.assert_allclose(entry['bbox'], [18, 20, 40, 80])
    write_perturbed_boxes(out, annotations, 'shift', 0.1, seed=3)
    expected = perturb_boxes(annotations, 'shift', 0.1, seed=3)
    assert json.loads(out.read_text()) == expected
