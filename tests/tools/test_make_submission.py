"""The tool, as users call it."""

import json

import mpii_files
import numpy as np

from rmpe_spm.mpii.ap import PredictedPoses
from rmpe_spm.mpii.toolkit_file import read_predictions, write_predictions


def test_writes_and_says_what(tool, tmp_path, capsys, refusal):
    images, results = tmp_path / 'images.json', tmp_path / 'results.json'
    images.write_text(json.dumps(dict(images=[dict(id=1), dict(id=2)])))
    pose = dict(
        image_id=1, category_id=1, keypoints=[1, 2, 0.5] * 14, score=0.5
    )
    results.write_text(json.dumps([pose]))
    argv = [str(results), str(images), '--dataset', 'crowdpose']
    argv += ['--algorithm', 'spm', '--out-dir', str(tmp_path / 'out')]
    tool.main(argv)
    path = tmp_path / 'out' / 'crowdpose_test_spm_results.json'
    assert json.loads(path.read_text()) == [pose]
    assert capsys.readouterr().out.splitlines() == [
        f'{path}: 1 poses in 1 images',
        'note: 1 of 2 images have no pose',
    ]

    results.write_text(json.dumps([dict(pose, image_id=3)]))
    assert refusal(tool.main, *argv) == (
        f'make_submission: error: {results}: result 0 (image 3) is for an '
        'image that the annotations do not list\n'
    )


def test_file_of_the_mpii_toolkit(tool, tmp_path, capsys, refusal):
    people = [mpii_files.person({}, center=(x, 50)) for x in (40, 60)]
    release, groups = tmp_path / 'release.mat', tmp_path / 'groups.mat'
    mpii_files.write_release(release, {'1.jpg': people}, train=[0])
    mpii_files.write_groups(groups, [[[1, 2]]])
    results = tmp_path / 'results.mat'
    poses = PredictedPoses(np.ones((2, 14, 2)), np.eye(2, 14))
    write_predictions(results, [poses], ['1.jpg'])
    argv = [str(results), str(release), '--dataset', 'mpii']
    argv += ['--algorithm', 'spm', '--out-dir', str(tmp_path / 'out')]
    tool.main([*argv, '--group-file', str(groups)])
    path = tmp_path / 'out' / 'spm' / 'pred_keypoints_mpii_multi.mat'
    assert capsys.readouterr().out == f'{path}: 2 poses in 1 images\n'
    assert read_predictions(path)[1] == ['1.jpg']
    # refused before anything is read
    assert '--group-file goes with' in refusal(tool.main, *argv)
