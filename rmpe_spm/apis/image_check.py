"""Whether the images are there that a model is to be evaluated on."""

import os
from pathlib import Path

import cv2

from .annotation_check import ConfigError, read_json
from .annotation_notes import has_visible_keypoint


def check_images(
    path: Path,
    folder: Path,
    bbox_file: Path | None = None,
    topdown: bool = False,
    any_format: bool = False,
) -> None:
    """Check that the images that a model is evaluated on are there.

    That each is whole is not looked at: this takes a second for thousands.

    Args:
        path (Path): The JSON file that lists them, known to be in COCO's
            layout.
        folder (Path): Where they are.
        bbox_file (Path, optional): Detections of a top-down model; images
            without any are not read. Defaults to None.
        topdown (bool): Whether images without people are not read, where
            there are no detections. Defaults to False.
        any_format (bool): Whether files will do that OpenCV cannot read.
            Defaults to False.

    Raises:
        ConfigError: Some are missing or no images. Names the first.
    """
    content = read_json(path)
    images = content['images']
    people = None
    if bbox_file is not None:
        people = (d for d in read_json(bbox_file) if d['category_id'] == 1)
    elif topdown:
        people = (
            a
            for a in content.get('annotations', ())
            if 'keypoints' in a and has_visible_keypoint(a)
        )
    if people is not None:
        shown = {person['image_id'] for person in people}
        images = [image for image in images if image['id'] in shown]
    readable = os.path.isfile if any_format else cv2.haveImageReader
    bad = [
        image
        for image in images
        if not readable(os.path.join(folder, image['file_name']))
    ]
    if bad:
        first = Path(folder, bad[0]['file_name'])
        state = 'is no image' if first.is_file() else 'does not exist'
        raise ConfigError(
            f'image {first} (image id {bad[0]["id"]}) {state}; {len(bad)} of '
            f'the {len(images)} images to be read are so. Restore them, or '
            f'remove them from {path}'
        )
