"""MPII's multi-person AP as plain loops, to compare the fast one with.

They follow the toolkit's published definition step by step.
"""

import math

# MPII's order without pelvis and thorax
COLUMNS = dict(
    Head=(6, 7),
    Shoulder=(10, 11),
    Elbow=(9, 12),
    Wrist=(8, 13),
    Hip=(2, 3),
    Knee=(1, 4),
    Ankle=(0, 5),
)


def multi_person_ap(
    annotated,
    predicted,
    thr=0.5,
    unannotated='false_positive',
    empty_units='count',
):
    """AP in percent by column; the arguments are those of the fast one."""
    ignore = unannotated == 'ignore'
    labels = [[] for _ in range(14)]
    positives = [0] * 14
    for truth, poses in zip(annotated, predicted, strict=True):
        owner = assign(truth, poses, thr)
        for joint in range(14):
            for person in range(len(truth.head_sizes)):
                if empty_units == 'toolkit' and len(poses.scores) == 0:
                    continue
                positives[joint] += bool(truth.annotated[person, joint])
            for pose in range(len(poses.scores)):
                if not poses.predicted[pose, joint]:
                    continue
                person = owner[pose]
                found = False
                if person is not None:
                    found = matches(truth, poses, person, pose, joint, thr)
                    if ignore and not truth.annotated[person, joint]:
                        continue
                labels[joint].append((float(poses.scores[pose, joint]), found))
    values = [
        area(labels[joint], positives[joint]) if positives[joint] else None
        for joint in range(14)
    ]
    table = {name: mean(values[j] for j in js) for name, js in COLUMNS.items()}
    return {**table, 'Total': mean(values)}


def matches(truth, poses, person, pose, joint, thr):
    if not (truth.annotated[person, joint] and poses.predicted[pose, joint]):
        return False
    x, y = (
        float(poses.keypoints[pose, joint, axis])
        - float(truth.keypoints[person, joint, axis])
        for axis in (0, 1)
    )
    distance = math.sqrt(x * x + y * y)
    return distance / float(truth.head_sizes[person]) <= thr


def assign(truth, poses, thr):
    """For every pose its person or None."""
    people, owner = len(truth.head_sizes), [None] * len(poses.scores)
    choice = []
    for pose in range(len(poses.scores)):
        best = (-1.0, None)
        for person in range(people):
            number = sum(
                matches(truth, poses, person, pose, joint, thr)
                for joint in range(14)
            )
            pck = number / max(1, sum(map(bool, truth.annotated[person])))
            if pck > best[0]:
                best = (pck, person)
        choice.append(best)
    for person in range(people):
        best = (0.0, None)
        for pose, (pck, chosen) in enumerate(choice):
            if chosen == person and pck > best[0]:
                best = (pck, pose)
        if best[1] is not None:
            owner[best[1]] = person
    return owner


def area(labels, positives):
    """VOC's area; Python's sort keeps the order of equals."""
    labels = sorted(labels, key=lambda label: -label[0])
    recall, precision, hits = [0.0], [0.0], 0
    for rank, (_, found) in enumerate(labels, 1):
        hits += found
        recall.append(hits / positives)
        precision.append(hits / rank)
    recall.append(1.0)
    precision.append(0.0)
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return math.fsum(
        (recall[i] - recall[i - 1]) * precision[i]
        for i in range(1, len(recall))
        if recall[i] != recall[i - 1]
    )


def mean(values):
    values = [value for value in values if value is not None]
    return 100 * (math.fsum(values) / len(values)) if values else math.nan
