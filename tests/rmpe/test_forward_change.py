import pytest
from torch import nn

from rmpe_spm.rmpe.sdtn import changed_forward


class Twice(nn.Module):
    def forward(self, value, plus=0):
        return 2 * value + plus


def test_outputs_are_changed_within_the_context_only():
    head = Twice()
    with changed_forward(head, str):
        assert head.forward(3, plus=1) == '7'
        with changed_forward(head, len):  # of what the outer one makes
            assert head.forward(50) == 3
        assert head.forward(50) == '100'
    assert head.forward(3) == 6 and 'forward' not in head.__dict__


def test_an_error_leaves_the_head_as_it_was():
    head = Twice()
    with pytest.raises(ZeroDivisionError), changed_forward(head, str):
        raise ZeroDivisionError
    assert head.forward(1) == 2
