"""``rmpe-spm``: what it writes, says and returns."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from rmpe_spm.engine import shipped
from rmpe_spm.inference.command_line import main

from .conftest import random_image


@pytest.fixture
def predict(tmp_path, capfd):
    def run(model, *arguments):
        out_dir = tmp_path / 'out'
        given = [f'--{key}={model[key]}' for key in ('config', 'weights')]
        given += [f'--out-dir={out_dir}', '--device=cpu']
        try:
            code = main(['predict', *map(str, arguments), *given])
        except SystemExit as error:
            code = error.code
        return code, out_dir, ''.join(capfd.readouterr())

    return run


def test_pictures(predict, bottomup, pictures, tmp_path):
    (pictures / '0.jpg').write_bytes(b'')
    code, out_dir, said = predict(bottomup, pictures, tmp_path / 'no.jpg')
    assert code == 0
    people = json.loads((out_dir / 'keypoints.json').read_text())
    assert {person['image_id'] for person in people} == {1, 2, 3, 4, 5}
    assert f'5 pictures, {len(people)} people' in said
    assert '2 inputs could not be read' in said and 'pictures/s' in said
    for i in range(1, 6):
        before = cv2.imread(str(pictures / f'{i}.png'))
        after = cv2.imread(str(out_dir / 'visualizations' / f'{i}.jpg'))
        assert after.shape == before.shape
    assert np.abs(after.astype(int) - before).mean() > 1


def test_a_video(predict, topdown, tmp_path, write_video):
    write_video(tmp_path / 'a.avi', 7)
    boxes = [
        dict(image_id=0, category_id=1, bbox=[5, 5, 30, 40], score=0.9,
             file_name='a.avi', frame=frame)
        for frame in range(5)
    ]  # fmt: skip
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    code, out_dir, _ = predict(
        topdown, tmp_path / 'a.avi', '--format=mmpose',
        f'--boxes={tmp_path / "boxes.json"}',
        '--nms=ParametricPoseNMS,preset=coco', '--track', '--smooth',
        '--second-pass')  # fmt: skip
    assert code == 0
    frames = json.loads((out_dir / 'predictions' / 'a.json').read_text())
    assert [len(each['instances']) for each in frames] == [1] * 5 + [0] * 2
    ids = [p['track_id'] for each in frames for p in each['instances']]
    assert len(ids) == 5
    video = cv2.VideoCapture(str(out_dir / 'visualizations' / 'a.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 7
    assert video.get(cv2.CAP_PROP_FPS) == 10


def test_scores_no_overlays_and_nothing_to_read(
    predict, bottomup, pictures, tmp_path
):
    code, out_dir, said = predict(
        bottomup, pictures, '--score-thr=2', '--no-overlays'
    )
    assert code == 0 and '5 pictures, 0 people' in said
    assert [path.name for path in out_dir.iterdir()] == ['keypoints.json']
    code, _, said = predict(bottomup, tmp_path / 'no.jpg')
    assert code == 1 and 'no such file' in said


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--boxes=none'], 'finds people by itself'),
        (['--nms=None'], 'None is not in'),
        (['--nms=OKSNMS,thr'], 'TYPE,KEY=VALUE'),
        (['--nms=OKSNMS,threshold=1'], 'unexpected keyword'),
        (['--batch-size=0'], 'batch_size'),
        (['--model=spm'], 'either a model by name'),
        (['--box-weights=a.pth'], 'belongs to --boxes'),
        (['--focal-length=300'], 'is for a model in 3D'),
    ],
)
def test_wrong_settings_are_code_2(
    predict, bottomup, pictures, arguments, message
):
    code, _, said = predict(bottomup, pictures, *arguments)
    assert code == 2 and message in said and 'Traceback' not in said


def test_weights_and_folders_that_do_not_fit(
    predict, bottomup, topdown, pictures, tmp_path
):
    code, _, said = predict(
        dict(bottomup, weights=topdown['weights']), pictures
    )
    assert code == 2 and 'topdown.pth' in said
    (tmp_path / 'out' / 'keypoints.json').mkdir(parents=True, exist_ok=True)
    code, _, said = predict(bottomup, pictures)
    assert code == 2 and 'cannot write to' in said
    (tmp_path / 'file').write_text('')
    with pytest.raises(SystemExit) as error:
        main(['predict', 'a.jpg', '--model=spm',
              f'--out-dir={tmp_path / "file"}'])  # fmt: skip
    assert error.value.code == 2


def test_models(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, 'WEIGHTS', tmp_path)
    assert main(['models']) == 0
    assert 'no weights ship' in capsys.readouterr().out


def test_ctrl_c_leaves_what_was_done(bottomup, tmp_path, repo_root):
    folder, out_dir = tmp_path / 'many', tmp_path / 'out'
    folder.mkdir()
    for i in range(1, 151):
        cv2.imwrite(str(folder / f'{i}.png'), random_image(i, (320, 240)))
    process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-m', 'rmpe_spm', 'predict',
         str(folder), f'--config={bottomup["config"]}',
         f'--weights={bottomup["weights"]}', f'--out-dir={out_dir}'],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        # a shell's background jobs ignore the signal
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, 'PYTHONPATH': str(repo_root)})  # fmt: skip
    file = out_dir / 'visualizations' / '12.jpg'
    for _ in range(1200):
        if file.exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert 'stopped' in errors and 'Traceback' not in errors
    people = json.loads((out_dir / 'keypoints.json').read_text())
    done = {person['image_id'] for person in people}
    drawn = list((out_dir / 'visualizations').iterdir())
    assert 8 <= len(done) <= len(drawn) < 150
    assert all(cv2.imread(str(path)) is not None for path in drawn)
