"""mmpose's inferencer with any pose NMS."""

from typing import Any

from mmpose.apis import Pose2DInferencer
from mmpose.registry import INFERENCERS
from mmpose.structures import PoseDataSample

from ..evaluation.base_pose_nms import BasePoseNMS
from .redundant_poses import best_poses


@INFERENCERS.register_module()
class PoseNMSInferencer(Pose2DInferencer):
    """mmpose's ``Pose2DInferencer`` whose calls take a pose NMS.

    ``inferencer(images, pose_nms=dict(type='ParametricPoseNMS'))`` leaves one
    pose a person, as
    :func:`~rmpe_spm.apis.suppress_redundant_poses` does. There is
    something to suppress where boxes are redundant: give a low ``bbox_thr``
    and a high ``nms_thr`` too. Everything else is mmpose's.

    Examples:
        >>> inferencer = PoseNMSInferencer('config.py', 'weights.pth')
        >>> results = inferencer(
        ...     'image.jpg', bbox_thr=0.1, nms_thr=0.65,
        ...     pose_nms=dict(type='ParametricPoseNMS', preset='coco'))
        >>> next(results)['predictions']
    """

    forward_kwargs: set = {*Pose2DInferencer.forward_kwargs, 'pose_nms'}

    def forward(
        self,
        inputs: dict | tuple,
        merge_results: bool = True,
        pose_nms: BasePoseNMS | dict | None = None,
        **kwargs: Any,
    ) -> list[PoseDataSample]:
        """Predict the poses of one image.

        Args:
            inputs (dict | tuple): The image's batch of crops.
            merge_results (bool): Whether the poses of an image become one
                sample. Defaults to True.
            pose_nms (BasePoseNMS | dict, optional): A pose NMS or its config.
                Defaults to None: none.
            **kwargs: Of ``Pose2DInferencer.forward``.

        Returns:
            list[PoseDataSample]: The samples with their predictions.

        Raises:
            ValueError: If a pose NMS is given with ``merge_results=False``.
        """
        if pose_nms is not None and not merge_results:
            raise ValueError(
                'pose_nms compares the poses of an image, which '
                'merge_results=False leaves apart: leave one of them out'
            )
        samples = super().forward(inputs, merge_results, **kwargs)
        if pose_nms is not None:
            # not merged once more, which would warp the heatmaps again
            for sample in samples:
                sample.pred_instances = best_poses(
                    sample.pred_instances, pose_nms
                )
        return samples
