"""Measure how well people of generated videos keep their ids.

    python tools/benchmarks/benchmark_tracking.py --models spm rmpe

IDF1 and switches of the poses that each model finds and ``PoseTracker``
tracks, as ``rmpe-spm predict --track`` does, over all frames of the videos.
Beside them stands how many of the annotated people are found at all (a pose
with OKS of at least 0.5), without which no tracker can be better.
"""

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from rmpe_spm import PoseInferencer, PoseTracker
from rmpe_spm.experiments.track_metrics import are_same, identity_scores
from rmpe_spm.markdown import markdown_table
from rmpe_spm.synthetic.people_video import generate_video


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add = parser.add_argument
    add('--models', nargs='+', default=['spm', 'rmpe'])
    add('--frames', type=int, default=100)
    add('--people', type=int, default=4)
    add('--seeds', type=int, nargs='+', default=[0, 1])
    return parser.parse_args()


def read_truths(path: Path) -> list[list[tuple[int, np.ndarray, float]]]:
    """Ids, joints and areas of who is annotated, a list each frame."""
    content = json.loads(path.read_text())
    people = defaultdict(list)
    for person in content['annotations']:
        if person['num_keypoints']:
            joints = np.reshape(person['keypoints'], (17, 3)).astype(float)
            truth = person['track_id'], joints, person['area']
            people[person['image_id']].append(truth)
    return [people[image['id']] for image in content['images']]


def measure(name: str, video: Path, root: Path) -> tuple[float, int, float]:
    """IDF1, switches and the share of people who are found."""
    truths = read_truths(next(root.glob('annotations/val/*.json')))
    results = map(
        PoseTracker(), PoseInferencer(name, device='cpu')(str(video))
    )
    frames = []
    for people, result in zip(truths, results, strict=True):
        poses = zip(result.track_ids, result.keypoints, strict=True)
        frames.append((people, [(i, pose) for i, pose in poses if i > 0]))
    found = [
        any(are_same(joints, pose, area) for _, pose in poses)
        for people, poses in frames
        for _, joints, area in people
    ]
    return *identity_scores(frames), float(np.mean(found))


def main() -> int:
    args = parse_args()
    rows = []
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as folder:
            video = generate_video(folder, args.frames, args.people, seed)
            for name in args.models:
                score, switches, found = measure(name, video, Path(folder))
                cells = f'{score:.3f}', str(switches), f'{found:.3f}'
                rows.append([name, str(seed), *cells])
    head = ['model', 'seed', 'IDF1', 'switches', 'found']
    print(markdown_table(head, rows))
    return 0


if __name__ == '__main__':
    sys.exit(main())
