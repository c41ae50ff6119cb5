"""Draw a COCO results file beside its annotations."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample
from mmpose.visualization import PoseLocalVisualizer


def draw_results(
    ann_file: str | Path,
    results_file: str | Path,
    image_dir: str | Path,
    out_dir: str | Path,
    dataset_meta: dict,
    max_images: int = 12,
    score_thr: float = 0.3,
    kpt_thr: float = 0.2,
) -> list[Path]:
    """Draw ground truth (left) and predictions (right) of the first images.

    Args:
        ann_file: COCO keypoint annotations (JSON).
        results_file: COCO keypoint results (JSON) on those images.
        image_dir: Folder of the images that ``ann_file`` names.
        out_dir: Folder that the pictures are written to; made if missing.
        dataset_meta: mmpose's metainfo of the data set (skeleton, colours).
        max_images: Number of images, in the order of ``ann_file``.
            Defaults to 12.
        score_thr: Instances with a score below this fraction of the image's
            best are not drawn. Defaults to 0.3.
        kpt_thr: Keypoints with a lower score are not drawn. Defaults to 0.2.

    Returns:
        The written pictures' paths, named as the images; where several
        folders have the name with the image's id after it.

    Raises:
        FileNotFoundError: If an image that ``ann_file`` names can't be read.
    """
    annotations = json.loads(Path(ann_file).read_text(encoding='utf-8'))
    results = json.loads(Path(results_file).read_text(encoding='utf-8'))
    persons, predictions = defaultdict(list), defaultdict(list)
    for person in annotations['annotations']:
        if person.get('num_keypoints', 1) and not person.get('iscrowd', 0):
            persons[person['image_id']].append(person)
    for prediction in results:
        predictions[prediction['image_id']].append(prediction)

    visualizer = PoseLocalVisualizer(radius=3.0, line_width=2)
    visualizer.set_dataset_meta(dataset_meta)
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    stems = Counter(Path(i['file_name']).stem for i in annotations['images'])
    written = []
    for image_info in annotations['images'][:max_images]:
        path = Path(image_dir) / image_info['file_name']
        image = cv2.imread(str(path))
        if image is None:
            raise FileNotFoundError(
                f'{path}: image {image_info["id"]} of {ann_file} is missing '
                'or unreadable; check image_dir'
            )
        found = predictions[image_info['id']]
        best = max((p['score'] for p in found), default=0.0)
        sample = PoseDataSample()
        sample.gt_instances = _instances(persons[image_info['id']])
        sample.pred_instances = _instances(
            [p for p in found if p['score'] >= score_thr * best]
        )
        name = path.stem
        if stems[name] > 1:  # in several folders
            name = f'{name}_{image_info["id"]}'
        out_file = out_dir / f'{name}.jpg'
        visualizer.add_datasample(
            name,
            image[..., ::-1],
            sample,
            draw_gt=True,
            draw_pred=True,
            kpt_thr=kpt_thr,
            out_file=str(out_file),
        )
        written.append(out_file)
    return written


def make_contact_sheet(
    pictures: Sequence[Path], out_file: str | Path, columns: int = 2
) -> Path:
    """Put pictures of one size side by side into one picture.

    Args:
        pictures: Paths of the pictures, row by row.
        out_file: Path of the sheet.
        columns: Pictures in a row. Defaults to 2.

    Returns:
        ``out_file`` as a path.

    Raises:
        ValueError: If there are no pictures.
    """
    if not pictures:
        raise ValueError(f'no pictures to put into {out_file}')
    tiles = [cv2.imread(str(picture)) for picture in pictures]
    height = min(tile.shape[0] for tile in tiles)
    width = min(tile.shape[1] for tile in tiles)
    tiles = [cv2.resize(tile, (width, height)) for tile in tiles]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [
        np.hstack(tiles[i : i + columns])
        for i in range(0, len(tiles), columns)
    ]
    cv2.imwrite(str(out_file), np.vstack(rows))
    return Path(out_file)


def _instances(entries: list[dict]) -> InstanceData:
    """COCO annotations or results of one image as drawable instances."""
    triples = np.array(
        [entry['keypoints'] for entry in entries], dtype=np.float32
    )
    if not entries:
        return InstanceData()
    triples = triples.reshape(len(entries), -1, 3)
    return InstanceData(
        keypoints=triples[..., :2],
        keypoints_visible=np.minimum(triples[..., 2], 1),
    )
