"""The tool from files to files."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from rmpe_spm.pose_nms.parametric import ParametricPoseNMS


@pytest.fixture
def tool(tool):
    """It learns on coarse grids."""
    tool.fit_rule = partial(tool.fit_rule, folds=2, cells=4)
    return tool


def write_data(folder, seed, images=10):
    """Annotations and redundant results with their boxes."""
    rng = np.random.default_rng(seed)
    people, results = [], []
    for image in range(images):
        for _ in range(2):
            pose = rng.uniform(0, 80, (17, 2)) + rng.uniform(0, 60, 2)
            low, size = pose.min(0), np.ptp(pose, 0)
            people.append(
                dict(
                    id=len(people) + 1,
                    image_id=image,
                    category_id=1,
                    iscrowd=0,
                    bbox=[*low.tolist(), *size.tolist()],
                    area=float(size.prod() / 2),
                    keypoints=np.c_[pose, np.full(17, 2)].ravel().tolist(),
                )
            )
            for noise in rng.uniform(0.3, 4, 4):
                moved = pose + rng.normal(size=(17, 2)) * noise
                scores = np.clip(
                    1 / (1 + noise) + rng.normal(0, 0.1, 17), 0.1, 1
                )
                results.append(
                    dict(
                        image_id=image,
                        category_id=1,
                        bbox=people[-1]['bbox'],
                        score=float(scores.mean()),
                        keypoints=np.c_[moved, scores].ravel().tolist(),
                    )
                )
    annotations = dict(
        images=[dict(id=image) for image in range(images)],
        categories=[dict(id=1, name='person')],
        annotations=people,
    )
    paths = folder / f'ann{seed}.json', folder / f'res{seed}.json'
    for path, content in zip(paths, (annotations, results), strict=True):
        path.write_text(json.dumps(content))
    return [str(path) for path in paths]


def test_learned_file_and_report(tool, tmp_path, capsys):
    fit, held_out = write_data(tmp_path, 0), write_data(tmp_path, 1)
    out_dir = tmp_path / 'out'
    tool.main(
        [*fit, '--held-out-ann', held_out[0], '--held-out-results']
        + [held_out[1], '--out-dir', str(out_dir)]
        + ['--presets', 'mpii', '--rank-by', 'score']
    )
    printed = capsys.readouterr().out
    assert 'fit: 10 images, 80 poses' in printed
    assert 'round 1 zoom 2' in printed
    content = json.loads((out_dir / 'pose_nms.json').read_text())
    provenance = content['provenance']
    assert provenance['data'] == ['ann0.json', 'res0.json']
    assert provenance['images'] == 10 and provenance['poses'] == 80
    assert provenance['ap'] > provenance['ap_without_nms'] + 0.05
    learned = ParametricPoseNMS(learned_file=out_dir / 'pose_nms.json')
    assert learned.rule.rank_by == 'score'
    assert (out_dir / 'planes_round_1.png').stat().st_size > 5000
    rows = {
        cells[1].strip(): cells[2:]
        for cells in (
            line.split('|')
            for line in (out_dir / 'report.md').read_text().splitlines()
            if line.startswith('| ')
        )
    }
    assert {'none', 'OKS 0.9', 'soft OKS', 'preset coco', 'learned'} <= set(
        rows
    )
    assert float(rows['learned'][1]) == pytest.approx(
        provenance['held_out_ap'], abs=1e-4
    )
    assert float(rows['learned'][0]) >= float(rows['preset mpii'][0])
    assert int(rows['learned'][4]) < int(rows['none'][4]) == 80


def test_split_of_one_file(tool, tmp_path, capsys):
    args = [*write_data(tmp_path, 0), '--held-out-fraction', '0.3']
    train, held_out = tool.load(tool.parse_args(args), np.full(17, 0.1))
    assert len(train.image_ids) == 7 and len(held_out.image_ids) == 3
    ids = set(train.image_ids) | set(held_out.image_ids)
    assert ids == set(range(10))


@pytest.mark.parametrize(
    'args,message',
    [
        (['--held-out-ann', 'x'], 'go together'),
        (['--held-out-fraction', '1'], 'between 0 and 1'),
    ],
)
def test_arguments_that_are_refused(tool, args, message, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args(['a', 'b', *args])
    assert message in capsys.readouterr().err


def test_unlisted_images_are_told(tool, tmp_path, capsys):
    fit, held_out = write_data(tmp_path, 0), write_data(tmp_path, 1)
    edit(held_out[0], lambda c: c.update(images=c['images'][:7]))
    args = ['--held-out-ann', held_out[0], '--held-out-results', held_out[1]]
    tool.load(tool.parse_args([*fit, *args]), np.full(17, 0.1))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        'fit: 10 images, 80 poses',
        'report on: 7 images, 56 poses (24 left out: their images are not '
        'in the annotations)',
    ]


def edit(path, change):
    """Change the content of a JSON file."""
    content = json.loads(Path(path).read_text())
    Path(path).write_text(json.dumps(change(content) or content))


def unlabelled(content):
    """Leave the people of annotations no joint."""
    for person in content['annotations']:
        person['keypoints'] = [0] * 51


def elsewhere(results):
    """Move poses far to the right."""
    for pose in results:
        pose['keypoints'][::3] = [5000] * 17


@pytest.fixture
def refusal(refusal, tool):
    """What the user is told, which is all of it."""

    def refuse(*args):
        message = refusal(tool.main, *args, '--presets', 'mpii')
        assert message.startswith('learn_pose_nms.py: error: ')
        assert message.count('\n') == 1
        return message

    return refuse


@pytest.mark.parametrize(
    'which, change, said',
    [
        (0, lambda c: c.update(annotations=[]), 'nobody with a labelled key'),
        (0, unlabelled, 'nobody with a labelled keypoint'),
        (1, lambda results: results[::8], 'no two poses of an image are'),
        (1, elsewhere, 'no pose in .* is near an annotated person'),
    ],
)
def test_files_that_are_of_no_use(refusal, tmp_path, which, change, said):
    files = write_data(tmp_path, 0, images=4)
    edit(files[which], change)
    assert re.search(said, refusal(*files))


def test_nobody_to_report_on(refusal, tmp_path):
    good = write_data(tmp_path, 0, images=4)
    message = refusal(*good, '--held-out-fraction', '0.01')
    assert 'in the 0 images to report on' in message
    files = write_data(tmp_path, 1, images=4)
    edit(files[0], unlabelled)
    message = refusal(
        *good, '--held-out-ann', files[0], '--held-out-results', files[1]
    )
    assert f'{files[0]}: nobody with a labelled keypoint' in message


def test_missing_metainfo(refusal):
    message = refusal('a.json', 'b.json', '--metainfo', 'nowhere.py')
    assert '--metainfo: there is no file nowhere.py' in message
