import json
from pathlib import Path

import pytest

from rmpe_spm.coco.validation import check_images
from rmpe_spm.errors import ConfigError

PICTURE = b'\xff\xd8\xff\xe0' + b'\0' * 20  # as a JPEG begins


@pytest.fixture
def folder(tmp_path):
    """Images 1 to 3, of which one is missing and one a page."""
    names = {1: 'a.jpg', 2: 'sub/b.jpg', 3: 'c.jpg', 4: 'd.gif'}
    images = [dict(id=i, file_name=name) for i, name in names.items()]
    annotations = [
        dict(image_id=1, keypoints=[5, 5, 2]),
        dict(image_id=2, keypoints=[0, 0, 0]),
        dict(image_id=3, bbox=[1, 2, 3, 4]),
        dict(image_id=4, keypoints=[5, 5, 1]),
    ]
    content = dict(images=images, annotations=annotations)
    (tmp_path / 'people.json').write_text(json.dumps(content))
    (tmp_path / 'a.jpg').write_bytes(PICTURE)
    (tmp_path / 'c.jpg').write_bytes(b'<html>')
    (tmp_path / 'd.gif').write_bytes(b'GIF89a' + b'\0' * 20)
    return tmp_path


def said(folder: Path, **options):
    with pytest.raises(ConfigError) as caught:
        check_images(folder / 'people.json', folder, **options)
    return str(caught.value)


def test_all_are_read(folder):
    message = said(folder)
    assert message.startswith(
        f'image {folder}/sub/b.jpg (image id 2) does not exist; 3 of the 4 '
    )
    (folder / 'sub').mkdir()
    (folder / 'sub' / 'b.jpg').write_bytes(PICTURE)
    assert 'c.jpg (image id 3) is no image; 2 of the 4 ' in said(folder)
    (folder / 'c.jpg').write_bytes(PICTURE)
    assert 'd.gif (image id 4) is no image; 1 of the 4 ' in said(folder)
    check_images(folder / 'people.json', folder, any_format=True)


def test_those_with_people(folder):
    assert 'd.gif (image id 4) is no image; 1 of the 2 ' in said(
        folder, topdown=True
    )
    check_images(folder / 'people.json', folder, topdown=True, any_format=True)


def test_those_with_detections(folder):
    boxes = folder / 'boxes.json'
    found = [
        dict(image_id=1, category_id=1),
        dict(image_id=2, category_id=18),
        dict(image_id=3, category_id=1),
    ]
    boxes.write_text(json.dumps(found))
    for topdown in (True, False):
        assert 'c.jpg (image id 3) is no image; 1 of the 2 ' in said(
            folder, bbox_file=boxes, topdown=topdown
        )
    boxes.write_text(json.dumps(found[:2]))
    check_images(folder / 'people.json', folder, bbox_file=boxes)
