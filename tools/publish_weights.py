"""Write the inference checkpoint of a training checkpoint.

Keeps the weights, in float16 and compressed, and the part of the config that
predicts; leaves out the optimizer, the schedule and the parallel branch of
RMPE, which only training needs. The weights that ship with the package are
written so::

    python tools/publish_weights.py CONFIG CHECKPOINT rmpe_spm/weights/NAME.pth
"""

import argparse
from pathlib import Path

from rmpe_spm.cli.arguments import read_config_file
from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.engine.checkpoint import load_from_local
from rmpe_spm.engine.shipped import publish, save_compressed
from rmpe_spm.files import write_atomically
from rmpe_spm.rmpe.parallel_sppe import BRANCH


def main(argv: list[str] | None = None) -> None:
    """Publish as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', type=Path, help='config of the test')
    parser.add_argument('checkpoint', type=Path, help='training checkpoint')
    parser.add_argument('out', type=Path, help='inference checkpoint to write')
    args = parser.parse_args(argv)
    with report_user_errors('publish_weights.py'):
        checkpoint = load_from_local(args.checkpoint, 'cpu')
        cfg = read_config_file(args.config)
        published = publish(checkpoint, cfg, without=(f'{BRANCH}.',))
        write_atomically(
            args.out, lambda file: save_compressed(published, file)
        )
    megabytes = [p.stat().st_size / 1e6 for p in (args.checkpoint, args.out)]
    print(f'{args.out}: {megabytes[1]:.1f} MB of {megabytes[0]:.1f} MB')


if __name__ == '__main__':
    main()
