"""The file of a fitted model of a detector's box errors.

It is JSON (``tools/fit_pgpg.py`` writes it)::

    format          'rmpe_spm.pgpg'
    version         1
    keypoint_names  names of the K joints, in the data set's order
    atoms           [{pose, num_people, num_matches, offsets}]
    no_torso        {num_people, num_matches, offsets}: the people whose
                    torso is not annotated, which have no atomic pose
    global          {num_people, num_matches, offsets}: everybody
    atom_selection  how the number of atoms was chosen
    provenance      data, hashes, command, date, counts, versions

``pose`` is (K, 2) in units of the torso's length around its middle (see
:mod:`rmpe_spm.rmpe.pgpg_model`). ``offsets`` describes the offsets
of x0, y0, x1, y1 of a detected box from the annotated one over the annotated
width or height::

    mean, std       one Gaussian a side, (4,) each
    mixtures        [{weights, means, stds}], one mixture of Gaussians a side

It is null where too few detections were matched; ``global`` stands in.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from .pgpg_model import OffsetModel, PeopleGroup, ProposalModel, SideMixture

FORMAT = 'rmpe_spm.pgpg'
VERSION = 1


def save_proposal_model(model: ProposalModel, path: str | Path) -> None:
    """Write the model's file.

    Args:
        model (ProposalModel): The model
        path (str | Path): The file; its folder is made
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(proposal_model_to_dict(model), indent=1)
    path.write_text(_join_numbers(text) + '\n', encoding='utf-8')


def load_proposal_model(path: str | Path) -> ProposalModel:
    """Read and check a model's file.

    Args:
        path (str | Path): The file

    Returns:
        ProposalModel: The model.

    Raises:
        FileNotFoundError: Where there is no such file.
        ValueError: Where the file is not a fitted model or is damaged;
            the message names the file and the entry.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no fitted PGPG model {str(path)!r}. Make one from '
            "a detector's results with tools/fit_pgpg.py."
        )
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(
            f'{path}: not a JSON file ({error}); write it anew with '
            'tools/fit_pgpg.py.'
        ) from error
    try:
        return proposal_model_from_dict(content)
    except ValueError as error:
        raise ValueError(
            f'{path}: not a fitted PGPG model: {error}'
        ) from error


def proposal_model_to_dict(model: ProposalModel) -> dict[str, Any]:
    """Give the content of the model's file.

    Args:
        model (ProposalModel): The model

    Returns:
        dict: What the module's docstring lists, for ``json.dump``.
    """
    return {
        'format': FORMAT,
        'version': VERSION,
        'keypoint_names': list(model.keypoint_names),
        'atoms': [
            {'pose': _rounded(pose), **_group_to_dict(group)}
            for pose, group in zip(model.atoms, model.atom_groups, strict=True)
        ],
        'no_torso': _group_to_dict(model.no_torso),
        'global': _group_to_dict(model.everybody),
        'atom_selection': model.atom_selection,
        'provenance': model.provenance,
    }


def proposal_model_from_dict(content: dict[str, Any]) -> ProposalModel:
    """Make the model from the content of its file.

    Args:
        content (dict): What the module's docstring lists

    Returns:
        ProposalModel: The model.

    Raises:
        ValueError: Where an entry is missing or wrong; the message
            names it.
    """
    if not isinstance(content, dict) or content.get('format') != FORMAT:
        raise ValueError(f"'format' is not {FORMAT!r}")
    if content.get('version') != VERSION:
        raise ValueError(
            f"'version' is {content.get('version')!r}, this package "
            f'reads {VERSION}'
        )
    names = _entry(content, 'keypoint_names', 'the file')
    if not isinstance(names, list) or not all(
        isinstance(name, str) for name in names
    ):
        raise ValueError("'keypoint_names' is not a list of names")
    atoms = _entry(content, 'atoms', 'the file')
    if not isinstance(atoms, list) or not atoms:
        raise ValueError("'atoms' is not a list of at least one atom")
    poses, groups = [], []
    for index, atom in enumerate(atoms):
        where = f"'atoms'[{index}]"
        pose = _entry(atom, 'pose', where)
        poses.append(_numbers(pose, (len(names), 2), f"{where}['pose']"))
        groups.append(_group_from_dict(atom, where))
    no_torso = _group_from_dict(
        _entry(content, 'no_torso', 'the file'), "'no_torso'"
    )
    everybody = _group_from_dict(
        _entry(content, 'global', 'the file'), "'global'"
    )
    if everybody.offsets is None:
        raise ValueError("'global' has no 'offsets'")
    return ProposalModel(
        keypoint_names=names,
        atoms=np.stack(poses),
        atom_groups=groups,
        no_torso=no_torso,
        everybody=everybody,
        atom_selection=content.get('atom_selection', {}),
        provenance=content.get('provenance', {}),
    )


def _entry(content: Any, key: str, where: str) -> Any:
    if not isinstance(content, dict) or key not in content:
        raise ValueError(f'{where} has no entry {key!r}')
    return content[key]


def _numbers(values: Any, shape: tuple[int, ...], where: str) -> np.ndarray:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{where} is not made of numbers') from error
    if array.shape != shape:
        raise ValueError(f'{where} has shape {array.shape}, not {shape}')
    if not np.isfinite(array).all():
        raise ValueError(f'{where} has numbers that are not finite')
    return array


def _group_from_dict(content: Any, where: str) -> PeopleGroup:
    counts = []
    for key in ('num_people', 'num_matches'):
        count = _entry(content, key, where)
        if not isinstance(count, int) or count < 0:
            raise ValueError(f'{where}[{key!r}] is not a count')
        counts.append(count)
    offsets = _entry(content, 'offsets', where)
    if offsets is not None:
        offsets = _offsets_from_dict(offsets, f"{where}['offsets']")
    return PeopleGroup(*counts, offsets)


def _offsets_from_dict(content: Any, where: str) -> OffsetModel:
    mean = _numbers(_entry(content, 'mean', where), (4,), f"{where}['mean']")
    std = _numbers(_entry(content, 'std', where), (4,), f"{where}['std']")
    if (std < 0).any():
        raise ValueError(f"{where}['std'] has negative numbers")
    mixtures = _entry(content, 'mixtures', where)
    if not isinstance(mixtures, list) or len(mixtures) != 4:
        raise ValueError(f"{where}['mixtures'] is not a list of four")
    return OffsetModel(
        mean.tolist(),
        std.tolist(),
        [
            _mixture_from_dict(mixture, f"{where}['mixtures'][{index}]")
            for index, mixture in enumerate(mixtures)
        ],
    )


def _mixture_from_dict(content: Any, where: str) -> SideMixture:
    weights = _entry(content, 'weights', where)
    if not isinstance(weights, list) or not weights:
        raise ValueError(f"{where}['weights'] has no component")
    shape = (len(weights),)
    weights = _numbers(weights, shape, f"{where}['weights']")
    if (weights < 0).any() or abs(weights.sum() - 1) > 1e-3:
        raise ValueError(
            f"{where}['weights'] is {weights.tolist()}: weights must not be "
            'negative and their sum must be 1'
        )
    means = _numbers(
        _entry(content, 'means', where), shape, f"{where}['means']"
    )
    stds = _numbers(_entry(content, 'stds', where), shape, f"{where}['stds']")
    if (stds <= 0).any():
        raise ValueError(f"{where}['stds'] has numbers that are not positive")
    return SideMixture(weights.tolist(), means.tolist(), stds.tolist())


def _group_to_dict(group: PeopleGroup) -> dict[str, Any]:
    offsets = group.offsets
    return {
        'num_people': group.num_people,
        'num_matches': group.num_matches,
        'offsets': None
        if offsets is None
        else {
            'mean': _rounded(offsets.mean),
            'std': _rounded(offsets.std),
            'mixtures': [
                {
                    'weights': _rounded(mixture.weights),
                    'means': _rounded(mixture.means),
                    'stds': _rounded(mixture.stds),
                }
                for mixture in offsets.mixtures
            ],
        },
    }


def _rounded(values: np.ndarray | list) -> list:
    # Far below what is known of an offset, and a tenth of the file's size.
    return np.round(values, 7).tolist()


def _join_numbers(text: str) -> str:
    """Put the innermost lists of an indented JSON text on one line."""
    return re.sub(
        r'\[[^\[\]{}"]*\]',
        lambda match: ' '.join(match.group().split()),
        text,
    )
