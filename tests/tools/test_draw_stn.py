"""Pictures of the STN show the region that it takes."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS

from rmpe_spm.inference.stn_drawing import ORANGE


@pytest.fixture
def arguments(tiny_stages, tmp_path):
    """A config, a checkpoint, and twice a picture of one person in red."""
    image = np.zeros((200, 200, 3), dtype=np.uint8)
    image[40:160, 60:120] = (0, 0, 200)
    cv2.imwrite(str(tmp_path / 'image.png'), image)
    model = MODELS.build(Config.fromfile(tiny_stages[1]).model)
    with torch.no_grad():
        model.sstn.theta_fc.bias.copy_(torch.tensor([0.5, 0.0, 0.0]))
    checkpoint = tmp_path / 'model.pth'
    torch.save(
        dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(a=1))),
        checkpoint,
    )
    box = ['--box', str(tmp_path / 'image.png'), '60', '40', '120', '160']
    out = tmp_path / 'pictures' / 'stn.png'
    return [str(tiny_stages[1]), str(checkpoint), str(out), *box, *box]


def test_the_region_is_outlined(tool, arguments, capsys):
    tool.main([*arguments, '--columns=2'])
    picture = cv2.imread(arguments[2]).astype(int)
    # Two crops of 48x64, twice enlarged, a margin of 4, and the same again.
    assert picture.shape == (2 * 64 + 8, 2 * (4 * 48 + 8), 3)
    np.testing.assert_array_equal(picture[:, :200], picture[:, 200:])
    crop, warped = picture[4:-4, 4:100], picture[4:-4, 100:196]
    # Half of the crop about its centre, (47, 63) after enlarging.
    orange = np.abs(crop - ORANGE).sum(-1) < 60
    rows, cols = np.nonzero(orange)
    assert rows.min() == pytest.approx(31.5, abs=2.5)
    assert rows.max() == pytest.approx(94.5, abs=2.5)
    assert cols.min() == pytest.approx(23.5, abs=2.5)
    assert cols.max() == pytest.approx(70.5, abs=2.5)
    # Padded by a quarter, so 10% of the crop is beside the person.
    assert np.abs(crop[:, :8]).max() < 12
    # The person fills the warped crop, and red stays red.
    assert np.abs(warped[20:-20, 20:-20] - (0, 0, 200)).max() < 12
    assert '2 boxes' in capsys.readouterr().out


def test_a_plain_model_is_refused(tool, arguments, refusal, tmp_path):
    cfg = Config.fromfile(arguments[0])
    cfg.model = cfg.model.sppe
    cfg.dump(tmp_path / 'plain.py')
    said = refusal(tool.main, tmp_path / 'plain.py', *arguments[1:])
    assert 'no ParallelSPPE' in said
