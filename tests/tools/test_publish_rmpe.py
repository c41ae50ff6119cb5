"""Inference checkpoints hold no parallel branch."""

import pytest
import torch


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('publish_rmpe')


def test_publish(tool, tmp_path, capsys):
    weights = {
        'backbone.w': torch.ones(2),
        'sstn.theta_fc.bias': torch.ones(3),
        'parallel_sppe.backbone.w': torch.zeros(1000),
    }
    source, out = tmp_path / 'epoch_1.pth', tmp_path / 'new' / 'rmpe.pth'
    torch.save(
        dict(
            meta=dict(epoch=1, dataset_meta=dict(name='coco')),
            state_dict=weights,
            ema_state_dict=weights,
            optimizer=dict(state={}, param_groups=[]),
            message_hub={},
        ),
        source,
    )
    tool.main([str(source), str(out)])
    published = torch.load(out, weights_only=True)
    assert set(published) == {'meta', 'state_dict'}
    assert set(published['state_dict']) == {'backbone.w', 'sstn.theta_fc.bias'}
    assert published['meta']['dataset_meta']['name'] == 'coco'
    assert 'rmpe.pth: 0.0 MB' in capsys.readouterr().out


def test_what_is_no_checkpoint_is_refused(tool, tmp_path):
    path = tmp_path / 'weights.pth'
    torch.save({'backbone.w': torch.ones(1)}, path)
    with pytest.raises(KeyError, match='state_dict'):
        tool.main([str(path), str(tmp_path / 'out.pth')])
    with pytest.raises(FileNotFoundError):
        tool.main([str(tmp_path / 'none.pth'), str(tmp_path / 'out.pth')])
