import torch
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from torch import nn


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1, bias=False)
        nn.init.constant_(self.layer.weight, 1)

    def forward(self, inputs, data_samples=None, mode='loss'):
        self.output = self.layer(inputs)
        return dict(loss=self.output.float().sum())


def test_a_step_computes_in_bfloat16_and_changes_float32_weights():
    model = Model()
    wrapper = build_optim_wrapper(
        model,
        dict(
            type='BFloat16OptimWrapper', optimizer=dict(type='SGD', lr=0.125)
        ),
    )
    # 257 is 256 in bfloat16, which has 8 bits before rounding to even
    data = dict(inputs=torch.tensor([[257.0, 0.0, 0.0]]))
    losses = model.train_step(data, wrapper)
    assert model.output.dtype == torch.bfloat16
    assert losses['loss'].item() == 256
    weight = model.layer.weight
    assert weight.dtype == torch.float32
    assert weight.tolist() == [[1 - 0.125 * 256, 1, 1]]
    assert model(data['inputs'])['loss'].item() == 257 * weight[0, 0].item()
