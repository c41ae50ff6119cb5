"""The report of a PGPG fit: a Markdown page with pictures.

``tools/fit_pgpg.py`` writes it: the atomic poses drawn, the histograms of
the offsets of each side with the fitted densities, and the counts.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..rmpe.pgpg_matching import MatchedPeople
from ..rmpe.pgpg_model import PeopleGroup, ProposalModel

SIDES = ('x0 (left)', 'y0 (top)', 'x1 (right)', 'y1 (bottom)')
COLUMNS = 6


def write_report(
    model: ProposalModel,
    people: MatchedPeople,
    folder: str | Path,
    skeleton: list[tuple[int, int]],
) -> Path:
    """Write ``README.md``, ``atoms.png`` and ``offsets.png``.

    Args:
        model (ProposalModel): The fitted model with its provenance
        people (MatchedPeople): The people that it was fitted to
        folder (str | Path): Where to; it is made
        skeleton (list): Pairs of joints to connect in the drawings

    Returns:
        Path: The Markdown page.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    draw_atoms(model, skeleton).savefig(folder / 'atoms.png', dpi=70)
    draw_offsets(model, people).savefig(folder / 'offsets.png', dpi=55)
    page = folder / 'README.md'
    page.write_text(markdown_report(model), encoding='utf-8')
    return page


def named_groups(model: ProposalModel) -> list[tuple[str, PeopleGroup]]:
    """List the groups of people with their names in the report.

    Args:
        model (ProposalModel): The fitted model

    Returns:
        list: Pairs of name and group, atoms first.
    """
    groups = [
        (f'atom {index}', group)
        for index, group in enumerate(model.atom_groups)
    ]
    groups.append(('no torso', model.no_torso))
    groups.append(('everybody', model.everybody))
    return groups


def draw_atoms(
    model: ProposalModel, skeleton: list[tuple[int, int]]
) -> Figure:
    """Draw the atomic poses beside one another, to one scale.

    Args:
        model (ProposalModel): The fitted model
        skeleton (list): Pairs of joints to connect

    Returns:
        Figure: The drawing; left joints are blue, right ones orange.
    """
    colours = [
        'tab:blue'
        if name.startswith('left')
        else 'tab:orange'
        if name.startswith('right')
        else 'black'
        for name in model.keypoint_names
    ]
    columns = min(COLUMNS, len(model.atoms))
    rows = -(-len(model.atoms) // columns)
    figure = Figure((2 * columns, 3 * rows), layout='tight')
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    low = model.atoms.min(axis=(0, 1)) - 0.15
    high = model.atoms.max(axis=(0, 1)) + 0.15
    for axis in axes:
        axis.set_axis_off()
    for index, (axis, pose) in enumerate(zip(axes, model.atoms, strict=False)):
        group = model.atom_groups[index]
        for first, second in skeleton:
            axis.plot(*pose[[first, second]].T, color='0.6', zorder=1)
        axis.scatter(*pose.T, c=colours, s=12, zorder=2)
        axis.set(
            xlim=(low[0], high[0]),
            ylim=(high[1], low[1]),
            aspect='equal',
            title=f'atom {index}\n{group.num_people} people',
        )
    return figure


def draw_offsets(model: ProposalModel, people: MatchedPeople) -> Figure:
    """Draw each group's offsets with the fitted densities.

    Args:
        model (ProposalModel): The fitted model
        people (MatchedPeople): The people that it was fitted to

    Returns:
        Figure: One row a group, one column a side: the histogram of the
        matched detections' offsets (grey), the mixture (blue) and the single
        Gaussian (orange); dashed where the global ones stand in.
    """
    labels = np.array(
        [
            -1 if index is None else index
            for index in map(
                model.atom_index, people.keypoints, people.visible
            )
        ]
    )
    matched = ~np.isnan(people.offsets[:, 0])
    members = [labels == index for index in range(len(model.atoms))]
    members += [labels == -1, np.full(len(labels), True)]
    groups = named_groups(model)
    figure = Figure((11, 1.6 * len(groups)), layout='tight')
    axes = figure.subplots(len(groups), 4, squeeze=False, sharex=True)
    grid = np.linspace(-0.5, 0.5, 401)
    for row, ((name, group), own) in enumerate(
        zip(groups, members, strict=True)
    ):
        offsets = people.offsets[own & matched]
        style = '-' if group.offsets else '--'
        fitted = group.offsets or model.everybody.offsets
        for side in range(4):
            axis = axes[row, side]
            if len(offsets):
                bins = np.linspace(-0.5, 0.5, 51)
                counts, _ = np.histogram(offsets[:, side], bins)
                axis.stairs(
                    counts / (len(offsets) * 0.02),
                    bins,
                    fill=True,
                    color='0.8',
                )
            axis.plot(
                grid,
                fitted.mixtures[side].density(grid),
                'tab:blue',
                linestyle=style,
                linewidth=1.2,
            )
            # offsets that are all equal have no width to draw
            std = max(fitted.std[side], grid[1] - grid[0])
            z = (grid - fitted.mean[side]) / std
            peak = 1 / (std * np.sqrt(2 * np.pi))
            axis.plot(
                grid,
                peak * np.exp(-(z**2) / 2),
                'tab:orange',
                linestyle=style,
                linewidth=1,
            )
            axis.set_xlim(-0.5, 0.5)
            axis.set_yticks([])
            if row == 0:
                axis.set_title(SIDES[side])
        axes[row, 0].set_ylabel(f'{name}\nn = {group.num_matches}')
    return figure


def markdown_report(model: ProposalModel) -> str:
    """Put the counts and the fitted numbers into words and tables.

    Args:
        model (ProposalModel): The fitted model with its provenance

    Returns:
        str: The Markdown text, which shows the two pictures.
    """
    provenance = model.provenance
    lines = [
        f'# Box errors of {provenance["detections"]["file"]}',
        '',
        'Fitted for `PGPGTransform` with',
        '',
        f'    {provenance["command"]}',
        '',
        f'on {provenance["date"]} (versions: '
        + ', '.join(f'{k} {v}' for k, v in provenance['versions'].items())
        + ').',
        '',
        '| file | SHA-256 |',
        '|---|---|',
    ]
    lines += [
        f'| {entry["file"]} | `{entry["sha256"]}` |'
        for entry in (provenance['annotations'], provenance['detections'])
    ]
    lines += ['', '| count | |', '|---|---:|']
    lines += [
        f'| {key.replace("_", " ")} | {value} |'
        for key, value in provenance['counts'].items()
    ]
    lines += [
        '',
        '## Atomic poses',
        '',
        *_selection_lines(model),
        '',
        '![The atomic poses; left joints blue, right orange](atoms.png)',
        '',
        '## Offsets',
        '',
        'Mean and standard deviation of the offsets of the detected sides '
        'from the annotated ones, over the annotated width (x) or height '
        '(y), in hundredths; in brackets the components of the mixture.',
        '',
        '| people | annotated | matched | ' + ' | '.join(SIDES) + ' |',
        '|---|---:|---:|' + '---|' * 4,
    ]
    groups = named_groups(model)
    for name, group in groups:
        cells = ['the global ones'] * 4
        if group.offsets is not None:
            cells = [
                f'{100 * mean:+.1f} ± {100 * std:.1f} ({len(mixture.weights)})'
                for mean, std, mixture in zip(
                    group.offsets.mean,
                    group.offsets.std,
                    group.offsets.mixtures,
                    strict=True,
                )
            ]
        lines.append(
            f'| {name} | {group.num_people} | {group.num_matches} | '
            + ' | '.join(cells)
            + ' |'
        )
    fallen = [name for name, group in groups if group.offsets is None]
    if fallen:
        lines += [
            '',
            f"Too few matches for {', '.join(fallen)}: everybody's offsets "
            'stand in.',
        ]
    lines += [
        '',
        '![Offsets of each side: histogram, mixture (blue), single Gaussian '
        '(orange)](offsets.png)',
        '',
    ]
    return '\n'.join(lines)


def _selection_lines(model: ProposalModel) -> list[str]:
    selection = model.atom_selection
    number = len(model.atoms)
    if 'scores' not in selection:
        return [f'{number}, as given on the command line.']
    lines = [
        f'{number}, the number with the largest mean log-likelihood of '
        "held-out people's offsets under the mixtures of their atoms "
        f'({selection["num_folds"]} parts; 0 is one mixture a side for '
        'everybody, without a look at the pose):',
        '',
        '| atoms | log-likelihood a person |',
        '|---:|---:|',
    ]
    lines += [
        f'| {key} | {value:.4f} |'
        for key, value in selection['scores'].items()
    ]
    return lines
