"""What the README shows works as it stands."""

import re

import numpy as np
import pytest
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import MODELS


@pytest.fixture
def readme(repo_root):
    return (repo_root / 'README.md').read_text(encoding='utf-8')


@pytest.fixture
def snippets(readme):
    return re.findall(r'```python\n(.*?)```', readme, re.DOTALL)


def test_files_that_are_named_exist(readme, repo_root):
    links = re.findall(r'\]\(([^)#]+)[^)]*\)', readme)
    configs = re.findall(r'configs/\S+?\.py', readme)
    assert links and configs
    for path in (*links, *configs):
        assert (repo_root / path).exists(), path


def test_quick_start_of_the_nms_runs(snippets, capsys):
    (code,) = [code for code in snippets if 'nms(keypoints' in code]
    rng = np.random.default_rng(0)
    pose = rng.uniform(0, 100, (1, 17, 2))
    names = dict(
        keypoints=np.concatenate([pose, pose + 0.5, pose + 300]),
        keypoint_scores=np.array([[0.9], [0.8], [0.7]]).repeat(17, 1),
        bboxes_xyxy=np.array([(0, 0, 100, 100)] * 2 + [(300, 300, 400, 400)]),
    )
    exec(code, names)
    assert names['kept'].keep.tolist() == [0, 2]
    assert '[0 2]' in capsys.readouterr().out


def test_quick_start_of_spm_runs(snippets, repo_root, tmp_path, monkeypatch):
    import cv2
    import torch
    from mmengine.runner import save_checkpoint

    (code,) = [code for code in snippets if 'inference_bottomup' in code]
    config, checkpoint, picture = re.findall(r"'([^']+/[^']+)'", code)
    cfg = Config.fromfile(repo_root / config)
    net = MODELS.build(cfg.model)
    torch.nn.init.constant_(
        net.head.stages[0].heatmap_layer.bias, 0.5
    )  # people everywhere
    skeleton = dict(from_file='configs/_base_/datasets/coco.py')
    meta = dict(meta=dict(dataset_meta=parse_pose_metainfo(skeleton)))
    monkeypatch.chdir(tmp_path)
    for path in (checkpoint, picture):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    # the whole folder: a config may inherit another
    (tmp_path / 'configs').symlink_to(repo_root / 'configs')
    save_checkpoint(dict(state_dict=net.state_dict(), **meta), checkpoint)
    cv2.imwrite(picture, np.full((120, 160, 3), 90, np.uint8))
    names = {}
    exec(code, names)
    people = names['poses'].keypoints
    assert people.shape[1:] == (17, 2) and len(people) > 0


def test_component_recipe_builds(snippets, tmp_path):
    (code,) = [code for code in snippets if '_base_ = ' in code]
    (tmp_path / 'config.py').write_text(code)
    cfg = Config.fromfile(tmp_path / 'config.py')
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    assert type(model.head).__name__ == 'SSTNHead'
    assert cfg.train_dataloader.dataset.pipeline[1].type == 'PGPGTransform'
    assert cfg.test_evaluator.nms.type == 'ParametricPoseNMS'
