"""Depths of a pose, corrected by what the whole pose looks like."""

from itertools import pairwise

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor

from ..tensors import without_autocast

MEMORY, SAMPLES = 16384, 2048  # poses


@MODELS.register_module()
class DepthRefiner(BaseModule):
    r"""Correct the depths of decoded poses, in the same forward pass.

    How limbs are foreshortened says much about a pose's depths, but the root's
    cell alone sees little of limbs that are far away. As the RefineNet of
    `SMAP`_, a few fully connected layers take each pose as it was decoded,
    its joints' places p, after snapping, and its depths d and R (see
    :class:`~rmpe_spm.HierarchicalSPR3DCodec`), and add to the depths. With c
    the centre of the box around the joints and u a quarter of its diagonal:

    .. math::
        (\Delta_1, \ldots, \Delta_K, \Delta_R) = \mathrm{MLP}\left(
            \frac{p - c}{u}, \frac{d}{u}, R + \ln \frac{u}{100}\right), \quad
        d_j \mathrel{+}= u \Delta_j, \quad R \mathrel{+}= \Delta_R

    so that a person gets the same correction at any size of the input. It
    starts with none. It learns from the poses that are read at every cell of
    the windows around the roots, without a gradient to the maps. A batch has
    few people for so many weights, so each step learns from 2,048 of the
    latest 16,384 poses, drawn at random.

    Args:
        num_keypoints (int): Number of joints, K.
        channels (int): Channels of the hidden layers. Defaults to 512.
        num_layers (int): Number of hidden layers. Defaults to 2.

    Example:
        >>> import torch
        >>> from rmpe_spm import DepthRefiner
        >>> refiner = DepthRefiner(17)
        >>> refiner(torch.rand(2, 30, 17, 2), torch.rand(2, 30, 18)).shape
        torch.Size([2, 30, 18])

    .. _SMAP: https://arxiv.org/abs/2008.11469
    """

    def __init__(
        self, num_keypoints: int, channels: int = 512, num_layers: int = 2
    ) -> None:
        super().__init__()
        sizes = [3 * num_keypoints + 1, *[channels] * num_layers]
        layers = []
        for size, next_size in pairwise(sizes):
            layers += [nn.Linear(size, next_size), nn.ReLU(inplace=True)]
        last = nn.Linear(sizes[-1], num_keypoints + 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*layers, last)
        # keypoints, depths, targets and known of the latest poses
        self._latest: list[Tensor] = []

    def forward(self, keypoints: Tensor, depths: Tensor) -> Tensor:
        """Correct the depths (..., K + 1) of poses (..., K, 2).

        Both are in input pixels, but for the last depth, R.
        """
        low, high = keypoints.amin(dim=-2), keypoints.amax(dim=-2)
        unit = self._units(keypoints)
        places = (keypoints - (low + high)[..., None, :] / 2) / unit[..., None]
        joints, root = depths[..., :-1], depths[..., -1:]
        size = root + (unit / 100).log()
        pose = torch.cat((places.flatten(-2), joints / unit, size), dim=-1)
        with without_autocast(pose):
            change = self.layers(pose)
        joints = joints + unit * change[..., :-1]
        return torch.cat((joints, root + change[..., -1:]), dim=-1)

    def loss(
        self, keypoints: Tensor, depths: Tensor, targets: Tensor, known: Tensor
    ) -> Tensor:
        """Mean absolute error, of joints in u, where targets are known.

        Joints (S, K, 2) of poses, and (S, K + 1) their depths, as read and as
        annotated, and whether these are known.
        """
        poses = keypoints, depths, targets, known
        if self._latest:
            pairs = zip(poses, self._latest, strict=True)
            poses = [torch.cat(pair)[:MEMORY] for pair in pairs]
        self._latest = list(poses)
        if len(poses[0]):
            drawn = torch.randint(
                len(poses[0]), (SAMPLES,), device=keypoints.device
            )
            poses = [values[drawn] for values in poses]
        keypoints, depths, targets, known = poses
        error = (self(keypoints, depths) - targets).abs()
        unit = self._units(keypoints)
        error = torch.cat((error[:, :-1] / unit, error[:, -1:]), dim=1)
        return (error * known).sum() / known.sum().clamp(min=1)

    @staticmethod
    def _units(keypoints: Tensor) -> Tensor:
        """A quarter of the poses' diagonals (..., 1), at least a pixel."""
        extent = keypoints.amax(dim=-2) - keypoints.amin(dim=-2)
        return (extent.norm(dim=-1, keepdim=True) / 4).clamp(min=1)
