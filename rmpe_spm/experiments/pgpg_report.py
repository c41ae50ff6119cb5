"""The report of a PGPG fit, which ``tools/fit_pgpg.py`` writes.

A Markdown page with the counts, the fitted numbers and the atomic poses drawn.
"""

from pathlib import Path

from matplotlib.figure import Figure

from ..files import write_atomically
from ..markdown import markdown_table
from ..rmpe.pgpg_model import PeopleGroup, ProposalModel

SIDES = ('x0 (left)', 'y0 (top)', 'x1 (right)', 'y1 (bottom)')
COLUMNS = 6  # of the drawn poses


def write_report(
    model: ProposalModel, folder: str | Path, skeleton: list[tuple[int, int]]
) -> Path:
    """Write ``README.md``, the page, and ``atoms.png``.

    The model has its provenance; joints in pairs of ``skeleton`` are connected
    in the drawings.
    """
    page = write_atomically(Path(folder) / 'README.md', markdown_report(model))
    draw_atoms(model, skeleton).savefig(page.with_name('atoms.png'), dpi=70)
    return page


def markdown_report(model: ProposalModel) -> str:
    """Put the counts and the fitted numbers into tables."""
    provenance = model.provenance
    groups = {f'atom {i}': each for i, each in enumerate(model.atom_groups)}
    groups |= {'no torso': model.no_torso, 'everybody': model.everybody}
    counts = [
        (key.replace('_', ' '), count)
        for key, count in provenance['counts'].items()
    ]
    rows = [
        [name, group.num_people, group.num_matches, *_sides(group)]
        for name, group in groups.items()
    ]
    fallen = [name for name, group in groups.items() if group.offsets is None]
    note = (
        f"\nToo few matches for {', '.join(fallen)}: everybody's offsets "
        'stand in.\n'
    )
    return (
        f'# Box errors of {provenance["detections"]["file"]}\n\n'
        f'Fitted for `PGPGTransform` on {provenance["date"]} with\n\n'
        f'    {provenance["command"]}\n\n'
        f'{markdown_table(["count", ""], counts)}'
        f'\n## Atomic poses\n\n{_selection(model)}\n'
        '![The atomic poses; left joints blue, right orange](atoms.png)\n\n'
        '## Offsets\n\n'
        'Mean and standard deviation of the offsets of the detected sides '
        'from the annotated ones, over the annotated width (x) or height '
        '(y), in hundredths; in brackets the components of the mixture.\n\n'
        f'{markdown_table(["people", "annotated", "matched", *SIDES], rows)}'
        f'{note if fallen else ""}'
    )


def draw_atoms(
    model: ProposalModel, skeleton: list[tuple[int, int]]
) -> Figure:
    """Draw the atomic poses beside one another, to one scale.

    Left joints are blue, right ones orange.
    """
    sides = {'left': 'tab:blue', 'right': 'tab:orange'}
    colours = [
        sides.get(name.partition('_')[0], 'black')
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
        for first, second in skeleton:
            axis.plot(*pose[[first, second]].T, color='0.6', zorder=1)
        axis.scatter(*pose.T, c=colours, s=12, zorder=2)
        people = model.atom_groups[index].num_people
        axis.set(
            xlim=(low[0], high[0]),
            ylim=(high[1], low[1]),
            aspect='equal',
            title=f'atom {index}\n{people} people',
        )
    return figure


def _sides(group: PeopleGroup) -> list[str]:
    """The fitted numbers of the four sides."""
    fitted = group.offsets
    if fitted is None:
        return ['the global ones'] * 4
    return [
        f'{100 * mean:+.1f} ± {100 * std:.1f} ({len(mixture.weights)})'
        for mean, std, mixture in zip(
            fitted.mean, fitted.std, fitted.mixtures, strict=True
        )
    ]


def _selection(model: ProposalModel) -> str:
    """How the number of atoms came about."""
    selection, number = model.atom_selection, len(model.atoms)
    if 'scores' not in selection:
        return f'{number}, as given on the command line.\n'
    scores = selection['scores'].items()
    return (
        f'{number}, the number with the largest mean log-likelihood of '
        "held-out people's offsets under the mixtures of their atoms "
        f'({selection["num_folds"]} parts; 0 is one mixture a side for '
        'everybody, without a look at the pose):\n\n'
        + markdown_table(
            ['atoms', 'log-likelihood a person'],
            [(key, f'{value:.4f}') for key, value in scores],
        )
    )
