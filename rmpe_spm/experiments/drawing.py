"""Draw COCO results beside the annotations."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample
from mmpose.visualization import PoseLocalVisualizer

# Below this part of the image's best score an instance is not drawn.
SCORE_THR = 0.3
# Keypoints with a lower score are not drawn.
KPT_THR = 0.2
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 80]


def draw_results(
    annotations: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    image_dir: str | Path,
    out_dir: str | Path,
    dataset_meta: dict,
    max_width: int | None = None,
) -> list[Path]:
    """Draw annotated (left) and predicted people (right) of all images.

    Writes a JPEG file an image, named by its id, to ``out_dir``. Both halves
    are made smaller where they are wider than ``max_width`` pixels.
    """
    people, poses = defaultdict(list), defaultdict(list)
    for person in annotations['annotations']:
        if person.get('num_keypoints', 1) and not person.get('iscrowd', 0):
            people[person['image_id']].append(person)
    for result in results:
        poses[result['image_id']].append(result)

    visualizer = PoseLocalVisualizer(radius=3.0, line_width=2)
    visualizer.set_dataset_meta(dataset_meta)
    Path(out_dir).mkdir(parents=True, exist_ok=True)
    written = []
    for info in annotations['images']:
        path, image_id = Path(image_dir) / info['file_name'], info['id']
        image = cv2.imread(str(path))
        if image is None:
            raise FileNotFoundError(
                f'{path}: image {image_id} is missing or unreadable; check '
                'the folder of the images'
            )
        found = poses[image_id]
        least = SCORE_THR * max((pose['score'] for pose in found), default=0.0)
        found = [pose for pose in found if pose['score'] >= least]
        sample = PoseDataSample()
        sample.gt_instances = _instances(people[image_id])
        sample.pred_instances = _instances(found)
        visualizer.add_datasample(
            path.stem, image[..., ::-1], sample, kpt_thr=KPT_THR
        )
        picture = visualizer.get_image()[..., ::-1]
        height, width = picture.shape[:2]
        if max_width and width > max_width:
            size = (max_width, max(1, round(height * max_width / width)))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        written.append(Path(out_dir) / f'{image_id}.jpg')
        cv2.imwrite(str(written[-1]), picture, JPEG)
    return written


def _instances(entries: list[Mapping]) -> InstanceData:
    """COCO annotations or results of one image as drawable instances."""
    if not entries:
        return InstanceData()
    triples = np.array([each['keypoints'] for each in entries], np.float32)
    triples = triples.reshape(len(entries), -1, 3)
    return InstanceData(
        keypoints=triples[..., :2],
        keypoints_visible=np.minimum(triples[..., 2], 1),
    )
