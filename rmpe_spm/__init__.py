"""RMPE (ICCV 2017) and SPM (ICCV 2019) for MMPose.

Importing the package registers its components into mmpose's registries::

    custom_imports = dict(imports=['rmpe_spm'], allow_failed_imports=False)
"""

# ruff: noqa: E402, I001
from importlib.util import find_spec

# these run on numpy alone
from .inference.onnx_inferencer import OnnxPoseInferencer
from .inference.results import PoseResult
from .inference.tracking import PoseTracker
from .version import __version__

_NEEDED = ['mmengine', 'mmcv', 'mmdet', 'mmpose']
_MISSING = [name for name in _NEEDED if find_spec(name) is None]
_ADVICE = (
    f'rmpe_spm needs {", ".join(_MISSING)}: not installed here. In a '
    "checkout, 'make env' makes an environment with all that is needed. "
    'Into this one it goes with\n'
    "    pip install -c requirements/constraints.txt '.[openmmlab]'\n"
    '    pip install -c requirements/constraints.txt --no-deps '
    'mmengine mmcv-lite mmdet mmpose torchvision\n'
    '(docs/installation.md)'
)
if _MISSING == _NEEDED:

    def __getattr__(name: str) -> None:
        """Say what is missing, where only exported models can run."""
        if name in __all__:
            raise ImportError(_ADVICE)
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
elif _MISSING:
    raise ImportError(_ADVICE)
else:
    from .engine.mmcv_lite import import_mmcv_ops

    import_mmcv_ops()  # before anything imports mmpose's models

    from .backbones.lateral_sum import LateralSum
    from .backbones.movenet import MoveNetFPN, TFMobileNetV2
    from .backbones.stacked_hourglass import StackedHourglass
    from .coco.loading import LoadImageOrSkip, SanitizeInstances
    from .coco.metric import PoseNMSCocoMetric
    from .engine.checkpoint import load_from_http, load_from_local
    from .engine.hooks import BoxSourceHook, ChannelsLastHook, FuseConvBNHook
    from .engine.optim import (
        BFloat16OptimWrapper,
        LayerDecayLrMultConstructor,
        RelativeAdamW,
    )
    from .engine.hooks import FiniteLossHook, SafeCheckpointHook
    from .engine.shipped import shipped_config, shipped_weights
    from .errors import (
        ConfigError,
        CorruptCheckpointError,
        RunFailedError,
        UnsafeCheckpointError,
    )
    from .experiments.fast_dekr import GridSampleDEKRHead
    from .inference.inferencer import PoseInferencer
    from .mpii.dataset import GroupAffine, MpiiMultiPersonDataset
    from .mpii.metric import MpiiMultiPersonAP
    from .panoptic.dataset import PanopticMultiPersonDataset
    from .panoptic.metric import MultiPersonPCK3D
    from .pose_nms.oks_nms import NearbyJointsNMS, OKSNMS, SoftOKSNMS
    from .pose_nms.parametric import ParametricPoseNMS
    from .pose_nms.rule import PoseNMSRule
    from .rmpe.transforms import GenerateCenterTarget
    from .rmpe.transforms import TopdownContextAffine
    from .rmpe.localizers import PoseLocalizer, SecondLook
    from .rmpe.movenet_head import MoveNetHeatmapHead
    from .rmpe.parallel_sppe import ParallelSPPE
    from .rmpe.pgpg_transform import PGPGTransform
    from .rmpe.spatial_transformer import ThetaCornerLoss
    from .rmpe.sstn_head import SSTNHead
    from .spm.codec import HierarchicalSPRCodec
    from .spm.codec_3d import HierarchicalSPR3DCodec
    from .spm.head import SPMHead
    from .spm.losses import MapFocalLoss, MapL1Loss, MapL2Loss
    from .spm.stage import MoveNetStage
    from .spm.test_time_augmentation import (
        MultiscaleBottomupPoseEstimator,
        MultiscaleBottomupResize,
        PackMultiscalePoseInputs,
    )
    from .spm.transforms import (
        BottomupGetCrowdMask,
        BottomupInstanceAffine,
        KeypointDepths,
        StrictPoseDataPreprocessor,
    )
    from .synthetic import generate_dataset
    from mmpose.registry import TASK_UTILS

    # here, since the rules themselves run on numpy alone
    for _rule in (ParametricPoseNMS, OKSNMS, SoftOKSNMS, NearbyJointsNMS):
        TASK_UTILS.register_module(module=_rule, force=True)

__all__ = [
    'BFloat16OptimWrapper',
    'BottomupGetCrowdMask',
    'BottomupInstanceAffine',
    'BoxSourceHook',
    'ChannelsLastHook',
    'ConfigError',
    'CorruptCheckpointError',
    'FiniteLossHook',
    'FuseConvBNHook',
    'GenerateCenterTarget',
    'GridSampleDEKRHead',
    'GroupAffine',
    'HierarchicalSPR3DCodec',
    'HierarchicalSPRCodec',
    'KeypointDepths',
    'LateralSum',
    'LayerDecayLrMultConstructor',
    'LoadImageOrSkip',
    'MapFocalLoss',
    'MapL1Loss',
    'MapL2Loss',
    'MoveNetFPN',
    'MoveNetHeatmapHead',
    'MoveNetStage',
    'MpiiMultiPersonAP',
    'MpiiMultiPersonDataset',
    'MultiPersonPCK3D',
    'MultiscaleBottomupPoseEstimator',
    'MultiscaleBottomupResize',
    'NearbyJointsNMS',
    'OKSNMS',
    'OnnxPoseInferencer',
    'PGPGTransform',
    'PackMultiscalePoseInputs',
    'PanopticMultiPersonDataset',
    'ParallelSPPE',
    'ParametricPoseNMS',
    'PoseInferencer',
    'PoseLocalizer',
    'PoseNMSCocoMetric',
    'PoseNMSRule',
    'PoseResult',
    'PoseTracker',
    'RunFailedError',
    'RelativeAdamW',
    'SPMHead',
    'SSTNHead',
    'SafeCheckpointHook',
    'SanitizeInstances',
    'SecondLook',
    'SoftOKSNMS',
    'StackedHourglass',
    'StrictPoseDataPreprocessor',
    'TFMobileNetV2',
    'ThetaCornerLoss',
    'TopdownContextAffine',
    'UnsafeCheckpointError',
    '__version__',
    'generate_dataset',
    'load_from_http',
    'load_from_local',
    'shipped_config',
    'shipped_weights',
]
