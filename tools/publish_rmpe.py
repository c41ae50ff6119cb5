"""Write the inference checkpoint of a training checkpoint.

Keeps the weights and what the run says of its config and data set; leaves
out the optimizer, the schedule and the parallel branch of RMPE, which only
training needs. With an EMA hook the averaged weights are the ones kept.
"""

import argparse
import sys
from pathlib import Path

import torch

from rmpe_spm.engine.checkpoint import load_from_local
from rmpe_spm.files import write_atomically
from rmpe_spm.rmpe.parallel_sppe import BRANCH


def publish(checkpoint: dict) -> dict:
    """Return what inference needs of a training checkpoint.

    Args:
        checkpoint (dict): A checkpoint of mmengine's runner.

    Returns:
        dict: Its ``meta`` and its ``state_dict`` without parallel branch.

    Raises:
        KeyError: If it holds no ``state_dict``.
    """
    if 'state_dict' not in checkpoint:
        raise KeyError('the checkpoint has no state_dict')
    weights = {
        key: value
        for key, value in checkpoint['state_dict'].items()
        if not key.startswith(f'{BRANCH}.')
    }
    return dict(meta=checkpoint.get('meta', {}), state_dict=weights)


def main(argv: list[str] | None = None) -> None:
    """Publish as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('checkpoint', type=Path, help='training checkpoint')
    parser.add_argument('out', type=Path, help='inference checkpoint to write')
    args = parser.parse_args(argv)
    published = publish(load_from_local(str(args.checkpoint), 'cpu'))
    write_atomically(args.out, lambda file: torch.save(published, file))
    megabytes = [p.stat().st_size / 1e6 for p in (args.checkpoint, args.out)]
    print(f'{args.out}: {megabytes[1]:.1f} MB of {megabytes[0]:.1f} MB')


if __name__ == '__main__':
    sys.exit(main())
