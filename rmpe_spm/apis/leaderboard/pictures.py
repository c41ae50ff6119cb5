"""Example pictures of a leaderboard's rows."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2

from ...visualization import draw_results

NUM_PICTURES = 4
# both halves, annotated and predicted people, side by side
WIDTH = 480
QUALITY = 70


def choose_images(annotations: dict, number: int = NUM_PICTURES) -> list[dict]:
    """Choose images, the same for every model.

    They lie evenly spaced, by id, among those with the most that a picture
    can show: several annotated people, else one, else none.

    Args:
        annotations (dict): Content of a COCO file.
        number (int): How many. Defaults to 4.

    Returns:
        list[dict]: Entries of ``images``.
    """
    people = dict.fromkeys((image['id'] for image in annotations['images']), 0)
    for person in annotations['annotations']:
        if not person.get('iscrowd') and person['image_id'] in people:
            people[person['image_id']] += any(
                flag > 0 for flag in person['keypoints'][2::3]
            )
    images = sorted(annotations['images'], key=lambda image: image['id'])
    ranked = sorted(images, key=lambda image: -min(people[image['id']], 2))
    best = [i for i in images if min(people[i['id']], 2) == 2]
    if len(best) < number:
        return ranked[:number]
    return [best[len(best) * place // number] for place in range(number)]


def draw_pictures(
    annotations: dict,
    results: Sequence[dict],
    image_dir: str | Path,
    dataset_meta: dict,
    out_dir: Path,
) -> list[Path]:
    """Draw annotated (left) and predicted people (right) of some images.

    Args:
        annotations (dict): Content of a COCO file.
        results (sequence): COCO keypoint results.
        image_dir (str | Path): The folder of the images.
        dataset_meta (dict): mmpose's metainfo of the data set.
        out_dir (Path): Gets small JPEG files.

    Returns:
        list[Path]: The files.

    Raises:
        FileNotFoundError: An image is missing.
    """
    images = choose_images(annotations)
    chosen = {image['id'] for image in images}
    out_dir.mkdir(parents=True, exist_ok=True)
    written = []
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name, content in (
            ('annotations', dict(annotations, images=images)),
            ('results', [r for r in results if r['image_id'] in chosen]),
        ):
            files.append(Path(folder, f'{name}.json'))
            files[-1].write_text(json.dumps(content), encoding='utf-8')
        drawn = draw_results(*files, image_dir, folder, dataset_meta)
        for path in drawn:
            picture = cv2.imread(str(path))
            height, width = picture.shape[:2]
            if width > WIDTH:
                size = (WIDTH, max(1, round(height * WIDTH / width)))
                picture = cv2.resize(
                    picture, size, interpolation=cv2.INTER_AREA
                )
            written.append(out_dir / f'{path.stem}.jpg')
            quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
            cv2.imwrite(str(written[-1]), picture, quality)
    return written
