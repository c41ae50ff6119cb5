"""What is written evaluates as the results that it was made of."""

import json
import zipfile

import numpy as np
import pytest

from rmpe_spm.coco.evaluation import evaluate_keypoints
from rmpe_spm.coco.submission import make_submission
from rmpe_spm.oks import COCO_SIGMAS


def contents(path):
    """What a server reads."""
    if path.suffix == '.json':
        return json.loads(path.read_text())
    with zipfile.ZipFile(path) as archive:
        (name,) = archive.namelist()
        assert name == path.with_suffix('.json').name
        return json.loads(archive.read(name))


@pytest.mark.parametrize('dataset', ['coco', 'ochuman'])
def test_evaluates_alike(shared_dir, tmp_path, dataset):
    folder = shared_dir / 'data' / 'evaluator_fixtures'
    ann_file = folder / 'coco_val_subset250.json'
    result_file = folder / 'lightweight_openpose_results.json'
    made = make_submission(
        result_file, ann_file, dataset, 'openpose', tmp_path
    )
    annotations, results = (
        json.loads(path.read_text()) for path in (ann_file, result_file)
    )
    written = contents(made.path)
    assert made.num_poses == len(written) == len(results) == 524
    assert made.num_images == 135
    assert [(r['image_id'], -r['score']) for r in written] == sorted(
        (r['image_id'], -r['score']) for r in results
    )
    expected = evaluate_keypoints(annotations, results, COCO_SIGMAS)
    found = evaluate_keypoints(annotations, written, COCO_SIGMAS)
    assert found == pytest.approx(expected, abs=2e-4)
    assert made.notes == [
        '52 poses will not count: of each image only the 20 best do',
        '115 of 250 images have no pose',
    ]


def test_crowdpose(shared_dir, tmp_path):
    folder = shared_dir / 'data' / 'evaluator_fixtures'
    files = (
        folder / 'example_crowdpose_preds.json',
        folder / 'example_crowdpose_val.json',
    )
    made = make_submission(*files, 'crowdpose', 'spm', tmp_path)
    written = contents(made.path)
    assert len(written) == 15
    results = json.loads(files[0].read_text())
    for entry in results:
        (same,) = (r for r in written if r['score'] == entry['score'])
        assert same['image_id'] == entry['image_id']
        np.testing.assert_allclose(
            same['keypoints'], entry['keypoints'], atol=0.0051
        )
    with pytest.raises(ValueError, match=r'result 0 \(image .* 17 times'):
        make_submission(*files, 'coco', 'spm', tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_files_that_are_refused(tmp_path):
    images, results = tmp_path / 'images.json', tmp_path / 'results.json'
    images.write_text('{"images": [{"id": 1}]}')
    out = tmp_path / 'out'
    results.write_text('[]')
    with pytest.raises(ValueError, match='results.json: empty'):
        make_submission(results, images, 'coco', 'a', out)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        make_submission(tmp_path / 'nowhere', images, 'coco', 'a', out)
    with pytest.raises(ValueError, match="dataset must be one of .*'aic'"):
        make_submission(results, images, 'aic', 'a', out)
    images.write_text('[]')
    with pytest.raises(ValueError, match="images.json has no list 'images'"):
        make_submission(results, images, 'coco', 'a', out)
    assert not out.exists()
