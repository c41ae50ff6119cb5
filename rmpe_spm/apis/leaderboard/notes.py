"""What the columns of a leaderboard are."""

from collections.abc import Sequence

from .evaluation import PCK_THRESHOLD
from .statistics import SEED
from .tables import Table


def make_notes(tables: Sequence[Table], num_resamples: int) -> str:
    """Define the columns that tables have.

    Args:
        tables (sequence): The tables.
        num_resamples (int): Of the bootstrap.

    Returns:
        str: Markdown: a list, a line each, and paragraphs.
    """
    lines = [
        "- **boxes**: where the people's boxes came from; every number of a "
        'row is with these. "none (single stage)" needs no boxes. Numbers '
        "with annotated boxes, or with MPII's groups, whose place and scale "
        'are annotated, are not those of a whole system.',
        '- **AP, AR, AP50, APM...**: as the evaluator of the config returns '
        'them, the same numbers as those of tools/test.py.',
    ]
    if any(row.interval for table in tables for row in table.rows):
        lines += [
            '- **95%, less the best, p**: percentile bootstrap over images, '
            f'{num_resamples} resamples (seed {SEED}), the same for all rows. '
            'Two rows are compared on the same resamples; p is two-sided, '
            'for one comparison, and not corrected for their number.',
        ]
    if any(table.joint_names for table in tables):
        lines += [
            f'- **PCK@{PCK_THRESHOLD:g}**: part of the annotated joints that '
            f'are found within {PCK_THRESHOLD:g} of the square root of the '
            "person's area, by the pose that is matched with the person by "
            'its other joints. Joints of people whom no pose is matched with '
            'count as not found; false poses do not lower it.',
        ]
    lines += [
        '- **parameters, GFLOPs**: of the model as it is tested; GFLOPs of '
        "one forward pass of one person's crop (top-down) or one image "
        '(single stage) of the size or sizes that the test gave it, without '
        "flip test, a multiplication with its addition as one (mmengine's "
        'analysis).',
        '- **images/s**: images over the time from a batch on the host to '
        'its poses (normalising, forward pass, flip test, decoding), for all '
        'people of an image; reading and cropping images, a person detector '
        'and the evaluation are not in it, nor is the first batch. The sum '
        'over the processes.',
        '- **peak memory**: on CUDA what PyTorch allocated during the test, '
        'on CPU the resident memory of the whole process; the largest of the '
        'processes.',
        '',
    ]
    devices = {
        (row.record.device, row.record.processes)
        for table in tables
        for row in table.rows
        if row.record
    }
    if len(devices) > 1:
        lines.append(
            'Rows ran on different devices: their images/s and peak memory '
            'do not compare.'
        )
    return '\n'.join(lines)
