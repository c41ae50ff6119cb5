"""The tool, as users call it."""

import json

import pytest


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('make_submission')


def test_writes_and_says_what(tool, tmp_path, capsys):
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
    with pytest.raises(SystemExit) as error:
        tool.main(argv)
    assert error.value.code == 2
    assert capsys.readouterr().err == (
        f'make_submission: error: {results}: result 0 (image 3) is for an '
        'image that the annotations do not list\n'
    )
