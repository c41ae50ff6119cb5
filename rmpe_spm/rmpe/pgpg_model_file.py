"""The file of a fitted :class:`.pgpg_model.ProposalModel`.

It is JSON (``tools/fit_pgpg.py`` writes it)::

    format          'rmpe_spm.pgpg'
    version         1
    keypoint_names  names of the K joints, in the data set's order
    atoms           [{pose, num_people, num_matches, offsets}]
    no_torso        {num_people, num_matches, offsets}
    global          {num_people, num_matches, offsets}: everybody
    atom_selection  how the number of atoms was chosen
    provenance      data, hashes, command, date, counts, versions

``pose`` is (K, 2), aligned by the torso. ``offsets`` is an ``OffsetModel``,
``{mean, std, mixtures: [{weights, means, stds}]}``, or null where too few
detections were matched.
"""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .pgpg_model import OffsetModel, PeopleGroup, ProposalModel, SideMixture

FORMAT = 'rmpe_spm.pgpg'
VERSION = 1


def save_proposal_model(model: ProposalModel, path: str | Path) -> None:
    """Write the model's file; its folder is made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(proposal_model_to_dict(model), indent=1)
    # The innermost lists on one line each.
    text = re.sub(
        r'\[[^\[\]{}"]*\]',
        lambda match: ' '.join(match.group().split()),
        text,
    )
    path.write_text(text + '\n', encoding='utf-8')


def load_proposal_model(path: str | Path) -> ProposalModel:
    """Read and check a model's file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a fitted model or is damaged; the
            message names the file and the entry.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no fitted PGPG model {str(path)!r}. Make one from '
            "a detector's results with tools/fit_pgpg.py."
        )
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        return proposal_model_from_dict(content)
    except ValueError as error:
        raise ValueError(
            f'{path}: not a fitted PGPG model: {error}; write it anew with '
            'tools/fit_pgpg.py'
        ) from error


def proposal_model_to_dict(model: ProposalModel) -> dict[str, Any]:
    """Return the content of the model's file, for ``json.dump``."""
    return {
        'format': FORMAT,
        'version': VERSION,
        'keypoint_names': list(model.keypoint_names),
        'atoms': [
            _rounded({'pose': pose.tolist(), **asdict(group)})
            for pose, group in zip(model.atoms, model.atom_groups, strict=True)
        ],
        'no_torso': _rounded(asdict(model.no_torso)),
        'global': _rounded(asdict(model.everybody)),
        'atom_selection': model.atom_selection,
        'provenance': model.provenance,
    }


def _rounded(content: Any) -> Any:
    """Round far below what is known of an offset: a tenth of the size."""
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list):
        return list(map(_rounded, content))
    return round(content, 7) if isinstance(content, float) else content


def proposal_model_from_dict(content: dict[str, Any]) -> ProposalModel:
    """Make the model from the content of its file.

    Raises:
        ValueError: If an entry is missing or wrong; the message names it.
    """
    if not isinstance(content, dict) or content.get('format') != FORMAT:
        raise ValueError(f"'format' is not {FORMAT!r}")
    if content.get('version') != VERSION:
        raise ValueError(
            f"'version' is {content.get('version')!r}, this package "
            f'reads {VERSION}'
        )
    where = 'the file'
    try:
        groups, poses = [], []
        for index, atom in enumerate(content['atoms']):
            where = f"'atoms'[{index}]"
            poses.append(np.array(atom['pose'], dtype=np.float64))
            groups.append(_read_group(atom))
        others = []
        for where in ('no_torso', 'global'):
            others.append(_read_group(content[where]))
        where = 'the file'
        return ProposalModel(
            content['keypoint_names'],
            np.stack(poses),
            groups,
            *others,
            atom_selection=content.get('atom_selection', {}),
            provenance=content.get('provenance', {}),
        )
    except KeyError as error:
        raise ValueError(f'{where} has no entry {error}') from error
    except (TypeError, ValueError) as error:
        raise ValueError(f'{where}: {error}') from error


def _read_group(content: dict[str, Any]) -> PeopleGroup:
    offsets = content['offsets']
    if offsets is not None:
        mixtures = [SideMixture(**side) for side in offsets['mixtures']]
        offsets = OffsetModel(offsets['mean'], offsets['std'], mixtures)
    return PeopleGroup(content['num_people'], content['num_matches'], offsets)
