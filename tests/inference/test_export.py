"""Exported models say what PyTorch's say, without PyTorch too."""

import json
import runpy
import subprocess
import sys
from importlib.metadata import distribution

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.registry import KEYPOINT_CODECS
from packaging.requirements import Requirement

from rmpe_spm import ConfigError, OnnxPoseInferencer, PoseInferencer
from rmpe_spm.inference.command_line import main
from rmpe_spm.inference.exported_networks import (
    ExportedSPM,
    ExportedTopdown,
    _decode_heatmaps,
)
from rmpe_spm.inference.inputs import InputStream
from rmpe_spm.inference.warping import bottomup_view, topdown_view

from .conftest import NMS, TOPDOWN_CODEC

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

BOXES = np.float32([[20, 15, 40, 55], [15, 20, 45, 50], [18, 22, 44, 61]])
UDP = dict(
    type='UDPHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=1
)
PARALLEL = dict(
    type='ParallelSPPE',
    localizer=dict(type='MobileNetV2', widen_factor=0.25, out_indices=(1,)),
    sstn=dict(
        type='SSTNHead', in_channels=8, pool_size=(3, 4), transform='affine'
    ),
    localizer_size=(24, 32),
)


@pytest.fixture
def pictures(tmp_path):
    """Pictures without flat regions, where peaks are rounding."""
    folder = tmp_path / 'noise'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(5):
        shape = (72, 96, 3) if i % 2 else (90, 60, 3)
        image = rng.integers(0, 255, shape, dtype=np.uint8)
        cv2.imwrite(str(folder / f'{i + 1}.png'), image)
    return folder


def exported(inferencer, folder):
    from rmpe_spm.inference.export import export_onnx

    path = folder / 'model.onnx'
    agreement = export_onnx(inferencer, path)
    assert agreement.pixels < 1e-3 and agreement.undecided < 1
    return path


def assert_same(found, expected, atol=1e-3):
    for left, right in zip(found, expected, strict=True):
        assert (left.path, left.size) == (right.path, right.size)
        for field in ('keypoints', 'bboxes_xyxy'):
            np.testing.assert_allclose(
                getattr(left, field), getattr(right, field), atol=atol
            )
        for field in ('keypoint_scores', 'scores'):
            np.testing.assert_allclose(
                getattr(left, field), getattr(right, field), atol=1e-5
            )
        assert left.keypoint_names == right.keypoint_names
        assert left.skeleton == right.skeleton


@pytest.mark.parametrize('mode', ['fit', 'expand'])
@pytest.mark.parametrize('nms', [None, NMS])
def test_spm(bottomup, pictures, tmp_path, mode, nms):
    cfg = Config.fromfile(bottomup['config'])
    cfg.test_dataloader.dataset.pipeline[1].resize_mode = mode
    cfg.model.test_cfg = dict(max_num_people=12, nms=nms)
    assert_exported_alike(dict(bottomup, config=cfg), pictures, tmp_path)


@pytest.mark.parametrize('scales', [(0.5,), (2, 0.5)])
def test_spm_in_several_sizes(bottomup, pictures, tmp_path, scales):
    cfg = Config.fromfile(bottomup['config'])
    resize, pack = cfg.test_dataloader.dataset.pipeline[1:]
    resize.update(type='MultiscaleBottomupResize', aug_scales=list(scales))
    pack.type = 'PackMultiscalePoseInputs'
    cfg.model.type = 'MultiscaleBottomupPoseEstimator'
    cfg.model.test_cfg = dict(multiscale_test=True, nms=NMS)
    with pytest.raises(ConfigError, match='pose_size_range'):
        exported(PoseInferencer(**dict(bottomup, config=cfg)), tmp_path)
    cfg.model.test_cfg.pose_size_range = (16, 64)
    assert_exported_alike(dict(bottomup, config=cfg), pictures, tmp_path)


def assert_exported_alike(model, pictures, tmp_path):
    torch_side = PoseInferencer(**model)
    path = exported(torch_side, tmp_path)
    expected = list(torch_side(pictures))
    assert sum(map(len, expected)) > 5
    for batch_size in (1, 4):
        onnx_side = OnnxPoseInferencer(path, batch_size=batch_size)
        assert_same(onnx_side(pictures), expected)


@pytest.fixture
def regional(topdown, tmp_path):
    """A top-down model with other parts, its weights random."""

    def make(codec=None, sdtn=None, flip_test=False):
        cfg = Config.fromfile(topdown['config'])
        cfg.model.test_cfg.flip_test = flip_test
        if codec is not None:
            cfg.model.head.decoder = codec
            cfg.test_dataloader.dataset.pipeline[2].use_udp = True
        if sdtn is not None:
            test_cfg = dict(cfg.model.test_cfg, sdtn=sdtn)
            cfg.model = dict(PARALLEL, sppe=cfg.model, test_cfg=test_cfg)
        torch.manual_seed(1)
        inferencer = PoseInferencer(config=cfg, device='cpu')
        model = inferencer.model
        # peaks that stand out, and crops that are warped
        torch.nn.init.normal_(model.head.final_layer.weight, 0, 3)
        if sdtn is not None:
            torch.nn.init.normal_(model.sstn.theta_fc.weight, 0, 0.02)
        return inferencer

    return make


@pytest.mark.parametrize('codec', [None, UDP])
@pytest.mark.parametrize('sdtn', [None, 'coordinates', 'heatmaps'])
def test_topdown(regional, pictures, tmp_path, codec, sdtn):
    torch_side = regional(codec, sdtn)
    path = exported(torch_side, tmp_path)
    boxes = [BOXES, BOXES[:0], BOXES[1:], BOXES[:1], np.c_[BOXES, [0.5] * 3]]
    expected = list(torch_side(pictures, boxes))
    found = list(OnnxPoseInferencer(path, batch_size=2)(pictures, boxes))
    assert found[1].keypoints.shape == (0, 17, 2)
    assert_nearly_same(found, expected)


def assert_nearly_same(found, expected):
    """Random maps have equal peaks, between which rounding chooses."""
    moves = []
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            left.keypoint_scores, right.keypoint_scores, atol=1e-4
        )
        moves.append(np.abs(left.keypoints - right.keypoints).ravel())
    assert (np.concatenate(moves) < 1e-3).mean() > 0.6


@pytest.mark.parametrize('codec', [TOPDOWN_CODEC, UDP])
def test_decoding_is_the_codecs(codec):
    """On peaks, where it is determined, to 1e-3 pixels."""
    codec = KEYPOINT_CODECS.build(codec)
    rng = np.random.default_rng(0)
    for _ in range(5):
        points = rng.uniform((8, 8), (40, 56), (1, 17, 2))
        heatmaps = codec.encode(points, np.ones((1, 17)))['heatmaps']
        heatmaps += rng.uniform(0, 0.01, heatmaps.shape).astype(np.float32)
        expected, scores = codec.decode(heatmaps.copy())
        found = _decode_heatmaps(torch.from_numpy(heatmaps)[None], codec)
        np.testing.assert_allclose(found[0], expected, atol=1e-3)
        np.testing.assert_allclose(found[1], scores, rtol=1e-5)


def test_spm_proposes_for_topdown(regional, bottomup, pictures, tmp_path):
    spm = PoseInferencer(**bottomup)
    (tmp_path / 'spm').mkdir()
    onnx_side = OnnxPoseInferencer(
        exported(regional(), tmp_path),
        boxes_from=OnnxPoseInferencer(exported(spm, tmp_path / 'spm')),
        nms=NMS,
    )
    results = list(onnx_side(pictures))
    assert sum(map(len, results)) > 2
    for result, proposed in zip(results, spm(pictures), strict=True):
        assert len(result) <= len(proposed)
    boxes = [result.bboxes_xyxy for result in results]
    assert all(np.isfinite(own).all() for own in boxes)


@pytest.mark.parametrize('size', [(96, 72), (33, 211), (1, 1), (3000, 40)])
def test_pictures_are_shown_as_opencv_does(size):
    rng = np.random.default_rng(3)
    image = rng.integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    views = [
        bottomup_view(size, 1, (64, 96), 32, mode, udp)
        for mode in ('fit', 'expand')
        for udp in (False, True)
        if max(size) < 1000
    ]
    views += [
        topdown_view(box, (48, 64), 1.25, udp)
        for box in BOXES
        for udp in (False, True)
    ]
    for view in views:
        matrix = np.diag([*view.zoom, 1])[:2]
        matrix[:, 2] = view.start
        expected = cv2.warpAffine(image, matrix, view.input_size)
        np.testing.assert_array_equal(view.show(image), expected)


BARE = """
import json, sys

folder, model, pictures = sys.argv[1:]
sys.path.append(folder)
from rmpe_spm import OnnxPoseInferencer

nms = dict(type='ParametricPoseNMS', preset='coco', eta=0.5)
results = OnnxPoseInferencer(model, nms=nms)(pictures)
print(json.dumps([result.keypoints.tolist() for result in results]))
try:
    from rmpe_spm import SSTNHead
except ImportError as error:
    print(error, file=sys.stderr)
"""


@pytest.fixture
def bare_environment(repo_root, tmp_path):
    """A folder of what ``pip install rmpe-spm[onnx]`` brings, and no more."""
    tomllib = pytest.importorskip('tomllib')
    project = (repo_root / 'pyproject.toml').read_text(encoding='utf-8')
    project = tomllib.loads(project)['project']
    wanted = project['dependencies'] + project['optional-dependencies']['onnx']
    folder = tmp_path / 'environment'
    folder.mkdir()
    (folder / 'rmpe_spm').symlink_to(repo_root / 'rmpe_spm')
    for line in wanted:  # grows
        need = Requirement(line)
        if need.marker and not need.marker.evaluate(dict(extra='')):
            continue
        installed = distribution(need.name)
        wanted += [
            each for each in installed.requires or () if each not in wanted
        ]
        for name in {file.parts[0] for file in installed.files}:
            if name not in ('..', '__pycache__'):
                place = folder / name
                place.unlink(missing_ok=True)
                place.symlink_to(installed.locate_file(name))
    return folder


def test_it_runs_in_a_bare_environment(
    bare_environment, bottomup, pictures, tmp_path
):
    """Without PyTorch, OpenMMLab and OpenCV."""
    names = {path.name for path in bare_environment.iterdir()}
    assert 'onnxruntime' in names
    assert not {'torch', 'torchvision', 'mmengine', 'mmpose', 'cv2'} & names
    nms = dict(type='ParametricPoseNMS', preset='coco', eta=0.5)
    torch_side = PoseInferencer(**bottomup, nms=nms)
    path = exported(torch_side, tmp_path)
    # isolated, and without the packages of this environment
    command = [sys.executable, '-I', '-S', '-c', BARE]
    done = subprocess.run(
        [*command, bare_environment, path, pictures],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'rmpe_spm needs mmengine, mmcv' in done.stderr
    found = json.loads(done.stdout)
    for points, result in zip(found, torch_side(pictures), strict=True):
        points = np.reshape(points, result.keypoints.shape)
        np.testing.assert_allclose(points, result.keypoints, atol=1e-3)


def test_command(bottomup, topdown, tmp_path, capsys, monkeypatch, repo_root):
    out = str(tmp_path / 'a.onnx')
    model = [f'--{key}={bottomup[key]}' for key in ('config', 'weights')]
    monkeypatch.setattr(sys, 'argv', ['', out, *model])
    with pytest.raises(SystemExit) as error:
        runpy.run_path(str(repo_root / 'tools/export_onnx.py'), {}, '__main__')
    assert error.value.code == 0
    assert 'pixels from PyTorch' in capsys.readouterr().out
    assert OnnxPoseInferencer(out).is_topdown is False
    cfg = Config.fromfile(topdown['config'])
    cfg.model.head.decoder.unbiased = True
    cfg.dump(tmp_path / 'unbiased.py')
    with pytest.raises(SystemExit) as error:
        main(['export', out, f'--config={tmp_path / "unbiased.py"}'])
    assert error.value.code == 2
    assert 'can be exported' in capsys.readouterr().err


def test_what_is_refused(bottomup, tmp_path):
    path = exported(PoseInferencer(**bottomup), tmp_path)
    with pytest.raises(ConfigError, match='no exported model'):
        OnnxPoseInferencer(tmp_path / 'none.onnx')
    (tmp_path / 'text.onnx').write_text('text')
    with pytest.raises(ConfigError, match='no ONNX model'):
        OnnxPoseInferencer(tmp_path / 'text.onnx')
    with pytest.raises(ConfigError, match="no pose NMS 'NMS'"):
        OnnxPoseInferencer(path, nms=dict(type='NMS'))
    with pytest.raises(ConfigError, match='boxes_from'):
        OnnxPoseInferencer(path, boxes_from=OnnxPoseInferencer(path))
    import onnx

    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / 'other.onnx')
    with pytest.raises(ConfigError, match='rmpe-spm export'):
        OnnxPoseInferencer(tmp_path / 'other.onnx')


@pytest.mark.parametrize('name', ['spm', 'rmpe-fast'])
def test_photographs(shared_dir, tmp_path, name):
    """Of the models that ship: joints are PyTorch's to 1e-3 pixels."""
    from rmpe_spm.inference import export

    folder = shared_dir / 'data' / 'mmpose_samples' / 'coco'
    photographs = sorted(folder.glob('*.jpg'))[:2]
    if not photographs:
        pytest.skip(f'there are no photographs in {folder}')
    inferencer = PoseInferencer(name, device='cpu')
    content = exported(inferencer, tmp_path).read_bytes()
    settings = export._settings(inferencer)['view']
    for picture in InputStream(photographs):
        if inferencer.is_topdown:
            network = ExportedTopdown(inferencer.model)
            view = topdown_view([0, 0, *picture.size], **settings)
        else:
            network = ExportedSPM(inferencer.model)
            view = bottomup_view(picture.size, 0.5, **settings)
        shown = view.show(picture.image), view.region(picture.size)
        inputs = [torch.from_numpy(each)[None] for each in shown]
        inputs = inputs[: len(network.inputs)]
        agreement = export.compare(network.eval(), content, inputs)
        assert agreement.pixels < 1e-3 and agreement.undecided < 0.1
