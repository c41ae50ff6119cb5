"""The tool from files to files."""

import json

import numpy as np
import pytest

from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.pose_nms.parametric import ParametricPoseNMS


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('learn_pose_nms')


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
        + ['--cells', '4']
        + ['--starts', 'mpii', '--rank-by', 'score', '--folds', '2']
    )
    printed = capsys.readouterr().out
    assert 'fit: 10 images, 80 poses' in printed
    assert 'round 1 zoom 2' in printed and 'ms an evaluation' in printed
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
        (['--held-out-results', 'x'], 'go together'),
        (['--held-out-fraction', '1'], 'between 0 and 1'),
        (['--cells', '2'], 'at least 3'),
        (['--folds', '1'], 'at least 2'),
    ],
)
def test_arguments_that_are_refused(tool, args, message, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args(['a', 'b', *args])
    assert message in capsys.readouterr().err


def edited(path, change):
    """Change the content of a JSON file."""
    with open(path) as file:
        content = json.load(file)
    content = change(content) or content
    with open(path, 'w') as file:
        json.dump(content, file)


def refused(tool, capsys, *args):
    """What the user is told, which is all of it."""
    with (
        pytest.raises(SystemExit) as ended,
        report_user_errors('learn_pose_nms.py'),
    ):
        tool.main([str(arg) for arg in args])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith('learn_pose_nms.py: error: ')
    assert message.count('\n') == 1
    return message


def test_annotations_without_people(tool, tmp_path, capsys):
    files = write_data(tmp_path, 0, images=4)
    edited(files[0], lambda content: content.update(annotations=[]))
    message = refused(tool, capsys, *files)
    assert 'nobody is annotated in the 2 images to fit' in message
    assert '--held-out-fraction' in message
    # people who are there, but of whom no joint is labelled
    files = write_data(tmp_path, 1, images=4)

    def unlabel(content):
        for person in content['annotations']:
            person['keypoints'] = [0] * 51

    edited(files[0], unlabel)
    assert 'nobody is annotated' in refused(tool, capsys, *files)
    good = write_data(tmp_path, 2, images=4)
    held_out = ['--held-out-ann', files[0], '--held-out-results', files[1]]
    message = refused(tool, capsys, *good, *held_out)
    assert 'in the 4 images to report on' in message
    assert '--held-out-fraction' not in message


def test_a_part_without_images(tool, tmp_path, capsys):
    files = write_data(tmp_path, 0, images=4)
    message = refused(tool, capsys, *files, '--held-out-fraction', '0.01')
    assert 'in the 0 images to report on' in message


def test_too_few_images_for_the_folds(tool, tmp_path, capsys):
    files = write_data(tmp_path, 0, images=4)
    message = refused(tool, capsys, *files)
    assert '3 parts need as many images with annotated people' in message


def test_results_for_images_that_are_not_listed(tool, tmp_path, capsys):
    ann_file, result_file = write_data(tmp_path, 0)

    def keep_three(content):
        content['images'] = content['images'][:3]

    edited(ann_file, keep_three)
    args = tool.parse_args([ann_file, result_file])
    sets = tool.load(args, np.full(17, 0.1))
    assert sum(part.num_poses for part in sets) == 3 * 8

    def move(results):
        for result in results:
            result['image_id'] += 100

    edited(result_file, move)
    message = refused(tool, capsys, ann_file, result_file)
    assert f'none of the results in {result_file} is for an image' in message
    assert ann_file in message


def test_unlisted_images_are_told(tool, tmp_path, capsys):
    files = write_data(tmp_path, 0)
    held_out = write_data(tmp_path, 1)
    edited(held_out[0], lambda c: c.update(images=c['images'][:7]))
    args = ['--held-out-ann', held_out[0], '--held-out-results', held_out[1]]
    tool.load(tool.parse_args([*files, *args]), np.full(17, 0.1))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        'fit: 10 images, 80 poses',
        'report on: 7 images, 56 poses (24 left out: their images are not '
        'in the annotations)',
    ]


@pytest.mark.parametrize('place', range(4))
def test_missing_files(tool, tmp_path, capsys, place):
    files = [*write_data(tmp_path, 0), *write_data(tmp_path, 1)]
    files[place] = tmp_path / 'nowhere.json'
    first, second, third, fourth = files
    args = [first, second, '--held-out-ann', third]
    args += ['--held-out-results', fourth]
    message = refused(tool, capsys, *args)
    assert f'there is no file {tmp_path / "nowhere.json"}' in message


def test_missing_metainfo(tool, tmp_path, capsys):
    files = write_data(tmp_path, 0)
    message = refused(tool, capsys, *files, '--metainfo', 'nowhere.py')
    assert '--metainfo: there is no file nowhere.py' in message


def test_results_without_scores(tool, tmp_path, capsys):
    ann_file, result_file = write_data(tmp_path, 0)

    def without_person(results):
        del results[3]['score']

    edited(result_file, without_person)
    message = refused(tool, capsys, ann_file, result_file)
    assert f'{result_file}: result 3 (image 0) has no score' in message
    ann_file, result_file = write_data(tmp_path, 1)

    def without_joints(results):
        for result in results:
            result['score'] = 0.5
            result['keypoints'][2::3] = [0] * 17

    edited(result_file, without_joints)
    message = refused(tool, capsys, ann_file, result_file)
    assert f'{result_file}: 80 of 80 poses have no joint with a' in message


def test_results_that_passed_an_nms(tool, tmp_path, capsys):
    ann_file, result_file = write_data(tmp_path, 0)
    edited(result_file, lambda results: results[::8])
    message = refused(
        tool, capsys, ann_file, result_file, '--starts', 'mpii', '--folds', '2'
    )
    assert 'no two poses of an image are alike' in message


def test_results_far_from_everybody(tool, tmp_path, capsys):
    ann_file, result_file = write_data(tmp_path, 0, images=6)

    def move(results):
        for result in results:
            result['keypoints'][::3] = [
                x + 5000 for x in result['keypoints'][::3]
            ]

    edited(result_file, move)
    message = refused(
        tool, capsys, ann_file, result_file, '--starts', 'mpii', '--folds', '2'
    )
    assert f'no pose in {result_file} is near an annotated person' in message
