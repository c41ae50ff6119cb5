"""Write a model as ONNX, decoding included: ``rmpe-spm export``.

python tools/export_onnx.py spm.onnx --model spm
python tools/export_onnx.py OUT.onnx --config CONFIG --weights CHECKPOINT
"""

import sys

from rmpe_spm.inference.command_line import main

if __name__ == '__main__':
    sys.exit(main(['export', *sys.argv[1:]]))
