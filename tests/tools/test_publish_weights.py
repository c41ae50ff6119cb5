"""Inference checkpoints are small, and hold no parallel branch."""

import pytest
import torch


def test_a_second_stage_of_rmpe(tool, tiny_stages, tmp_path, capsys):
    weights = {
        'backbone.w': torch.tensor([1.0, 1 / 3]),
        'backbone.bn.num_batches_tracked': torch.tensor(7),
        'sstn.theta_fc.bias': torch.ones(3),
        'parallel_sppe.backbone.w': torch.zeros(1000),
    }
    source, out = tmp_path / 'epoch_1.pth', tmp_path / 'new' / 'rmpe.pth'
    training = dict(
        meta=dict(epoch=1, cfg='folder = "/home/me"'),
        state_dict=weights,
        ema_state_dict=weights,
        optimizer=dict(state={}, param_groups=[]),
        message_hub={},
    )
    torch.save(training, source)
    tool.main([str(tiny_stages[1]), str(source), str(out)])
    published = torch.load(out, weights_only=True)
    assert set(published) == {'meta', 'state_dict'}
    state = published['state_dict']
    del weights['parallel_sppe.backbone.w']
    assert state.keys() == weights.keys()
    assert state['backbone.w'].dtype == torch.float16
    assert state['backbone.bn.num_batches_tracked'] == 7
    torch.testing.assert_close(
        state['backbone.w'].float(), weights['backbone.w'], atol=1e-3, rtol=0
    )
    assert set(published['meta']) == {'config'}
    config = published['meta']['config']
    assert config['model']['type'] == 'ParallelSPPE'
    assert str(tmp_path) not in str(config)
    assert 'rmpe.pth: 0.0 MB' in capsys.readouterr().out


@pytest.mark.parametrize('name', ['weights.pth', 'none.pth'])
def test_what_is_no_checkpoint_is_refused(
    tool, tiny_stages, tmp_path, refusal, name
):
    torch.save({'backbone.w': torch.ones(1)}, tmp_path / 'weights.pth')
    out = tmp_path / 'out.pth'
    message = refusal(tool.main, tiny_stages[1], tmp_path / name, out)
    assert ('state_dict' if name == 'weights.pth' else name) in message
    assert not out.exists()
