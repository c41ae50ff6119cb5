import json
from dataclasses import asdict

import pytest
from mmengine.config import Config
from mmpose.models import build_pose_estimator

from rmpe_spm.leaderboard.measure import (
    choose_images,
    evaluated_poses,
    make_runner,
    run,
)


@pytest.fixture
def measure(identified, tmp_path):
    """Run a config with its weights; the entry, its folder and record."""

    def measure(config, weights, **options):
        prepared = identified(config, weights, **options)
        folder = tmp_path / 'runs' / prepared.key
        runner = make_runner(prepared, folder)
        return prepared, folder, run(prepared, runner, folder)

    return measure


def test_what_a_run_records(write_model, measure):
    hooks = [dict(type='BoxSourceHook')]  # adds no number
    prepared, folder, record = measure(*write_model(), custom_hooks=hooks)
    results = json.loads((folder / 'results.keypoints.json').read_text())
    assert record.num_images == 4
    assert record.num_poses == len(results) == 8
    assert 0 < record.metrics['coco/AP'] < 1
    assert 'boxes' not in record.metrics
    model = build_pose_estimator(prepared.cfg.model)
    assert record.parameters == sum(p.numel() for p in model.parameters())
    assert 0 < record.gflops < 0.1
    assert record.gflops_input == "one person's crop of 48x64"
    assert record.images_per_second > 0
    assert record.device.startswith(('CPU', 'NVIDIA'))
    assert len(record.sigmas) == 17
    assert len(list((folder / 'pictures').glob('*.jpg'))) == 4
    # numbers that JSON has, and nothing else
    assert json.loads(json.dumps(asdict(record))) == asdict(record)


def test_gflops_are_of_what_the_test_gives_to_the_model(write_model, measure):
    crop = 'test_dataloader.dataset.pipeline.2.input_size'
    _, _, record = measure(*write_model(**{crop: (96, 64)}))
    # the codec's is 48x64
    assert record.gflops_input == "one person's crop of 96x64"


def test_metric_that_writes_no_results(write_model, measure):
    config, weights = write_model()
    cfg = Config.fromfile(config)
    cfg.test_evaluator = dict(type='EPE')
    cfg.dump(config)
    _, folder, record = measure(config, weights)
    assert list(record.metrics) == ['EPE']
    assert record.sigmas == []
    assert record.num_poses is None
    assert record.num_images == 4


def test_model_that_finds_nobody(write_model, measure, tmp_path):
    nobody = tmp_path / 'nobody.json'
    box = dict(image_id=1, category_id=1, bbox=[3, 3, 30, 40], score=0.9)
    nobody.write_text(json.dumps([box]))
    changes = {
        'test_dataloader.dataset.bbox_file': str(nobody),
        'test_evaluator.type': 'PoseNMSCocoMetric',
        'test_evaluator.keypoint_score_thr': 0.2,
    }
    prepared, folder, record = measure(*write_model(), **changes)
    (folder / 'results.keypoints.json').write_text('[]')
    poses = evaluated_poses(prepared, folder, 17)
    assert poses.num_poses == 0
    assert record.num_images == 4


def annotations(people):
    """Annotations with so many people in the images 1, 2, ..."""
    return dict(
        images=[dict(id=i + 1) for i in range(len(people))],
        annotations=[
            dict(image_id=i + 1, keypoints=[1, 1, 2] * 17)
            for i, number in enumerate(people)
            for _ in range(number)
        ],
    )


@pytest.mark.parametrize(
    'people, expected',
    [
        ([2, 0, 2, 1, 5, 3], [1, 5]),
        ([0, 1, 1, 2], [4]),
        ([0, 1], [1, 2]),
        ([], []),
    ],
)
def test_images_with_several_people_come_first(people, expected):
    chosen = choose_images(annotations(people), 2)
    assert [image['id'] for image in chosen] == expected


def test_crowds_and_people_without_joints_do_not_count():
    content = annotations([2, 2, 2])
    for person in content['annotations'][:2]:
        person['iscrowd'] = 1
    for person in content['annotations'][2:4]:
        person['keypoints'] = [0, 0, 0] * 17
    assert choose_images(content, 1)[0]['id'] == 3
