"""The people of a test's data set, whatever its annotations look like."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmpose.registry import DATASETS

from ..datasets.datasets import MpiiMultiPersonDataset
from .annotation_check import ConfigError

# Settings of a data set that do not decide who its people are.
OTHER_SETTINGS = ('bbox_file', 'filter_cfg', 'pipeline')


def read_people(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Read the people of a data set in COCO's layout.

    Of MPII these are the people, with the boxes, of
    :class:`~rmpe_spm.datasets.datasets.MpiiMultiPersonDataset` in top-down
    mode; its annotations know no sizes of images, and its boxes are not
    clipped.

    Args:
        dataset (mapping): ``test_dataloader.dataset`` of a config, with
            annotations in COCO's layout or of MPII.

    Returns:
        dict: ``images`` and ``annotations``.

    Raises:
        ConfigError: The annotations are missing or no JSON.
    """
    path = Path(dataset.get('data_root') or '') / dataset['ann_file']
    if not path.is_file():
        raise ConfigError(
            f'test_dataloader.dataset.ann_file: {path} does not exist'
        )
    kind = dataset.get('type')
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    if isinstance(kind, type) and issubclass(kind, MpiiMultiPersonDataset):
        return _mpii_people(kind, dataset)
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise ConfigError(f'{path} is no JSON file: {error}') from error


def _mpii_people(kind: type, dataset: Mapping[str, Any]) -> dict[str, Any]:
    left_out = ('type', 'data_mode', *OTHER_SETTINGS)
    settings = {k: v for k, v in dataset.items() if k not in left_out}
    try:
        data = kind(**settings, data_mode='topdown')
    except (ValueError, FileNotFoundError) as error:
        raise ConfigError(f'test_dataloader.dataset: {error}') from error
    people = [
        data.get_data_info(index)['raw_ann_info'] for index in range(len(data))
    ]
    images = dict.fromkeys(person['image_id'] for person in people)
    return dict(images=[dict(id=i) for i in images], annotations=people)
