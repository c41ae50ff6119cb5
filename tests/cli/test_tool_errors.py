import pytest
from mmengine.dataset import BaseDataset, pseudo_collate
from mmpose.registry import MODELS, TRANSFORMS
from torch.utils.data import DataLoader, Dataset

from rmpe_spm.cli.error_messages import explain, report_user_errors
from rmpe_spm.coco.loading import LoadImageOrSkip
from rmpe_spm.coco.validation import check_detections
from rmpe_spm.engine.checkpoint import load_from_local
from rmpe_spm.errors import ConfigError
from rmpe_spm.rmpe.center_target import GenerateCenterTarget


def _raised(function, *args):
    try:
        function(*args)
    except Exception as error:
        return error
    raise AssertionError('nothing was raised')


@pytest.mark.parametrize(
    'registry, kind, like',
    [
        (TRANSFORMS, 'PGPGTransfrom', 'PGPGTransform'),
        (TRANSFORMS, 'RandomFlipp', 'RandomFlip'),
        (MODELS, 'SSTNhead', 'SSTNHead'),
        (MODELS, 'HRnet', 'HRNet'),
    ],
)
def test_unregistered_type_suggests_its_like(registry, kind, like):
    message = explain(_raised(registry.build, dict(type=kind)))
    assert repr(kind) in message
    assert like in message.split('Names like it: ')[1].split(', ')


def test_unknown_argument_suggests_its_like():
    config = dict(type='PGPGTransform', mode='jitter', probb=1)
    message = explain(_raised(TRANSFORMS.build, config))
    assert message.startswith("PGPGTransform in the config has no argument 'p")
    assert 'prob' in message.split('Names like it: ')[1].split(', ')
    # of the parents' arguments too
    config = dict(type='GridSampleDEKRHead', in_chanels=1)
    assert 'in_channels' in explain(_raised(MODELS.build, config))


def test_unregistered_type_like_nothing():
    message = explain(_raised(MODELS.build, dict(type='Zzyzx0123456789')))
    assert 'custom_imports' in message
    message = explain(_raised(MODELS.build, dict(type='mmzzyzx.Zzyzx01234')))
    assert 'Zzyzx01234 belongs to mmzzyzx' in message


def test_our_own_errors_are_told(tmp_path):
    error = _raised(check_detections, tmp_path / 'absent.json')
    assert explain(error) == f'{tmp_path / "absent.json"} does not exist'
    error = _raised(load_from_local, str(tmp_path / 'absent.pth'))
    assert explain(error).startswith('checkpoint ')


class NoGoodSample(BaseDataset):
    """A data set that mmengine gives up."""

    def __init__(self):
        super().__init__(lazy_init=True, max_refetch=2)
        self._fully_initialized = True

    def __len__(self):
        return 1

    def prepare_data(self, index):
        return None

    def _rand_another(self):
        return 0


class NoImage(Dataset):
    """A data set whose image is not there."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        load = LoadImageOrSkip()
        return load(dict(img_path='/nowhere/7.jpg', img_id=7))


class Wrong(Dataset):
    """A data set with a mistake in code that is not ours."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return int('x')


class NoCodec(Dataset):
    """A data set whose target transform has a codec that does not suit."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        GenerateCenterTarget(encoder=dict(type='MSRAHeatmapp'))


class WithoutWords(Dataset):
    """A data set whose error, made of another, says nothing itself."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        try:
            NoImage()[0]
        except ValueError as error:
            raise RuntimeError from error


@pytest.mark.parametrize('num_workers', [0, 1])
def test_what_is_raised_for_a_sample_is_told(num_workers):
    """Here or in a data worker, of which torch tells a text only."""

    def said(dataset):
        return explain(_raised(next, iter(DataLoader(dataset, **options))))

    options = dict(num_workers=num_workers, collate_fn=pseudo_collate)
    assert said(NoGoodSample()).startswith('none of many images in a row')
    message = said(NoImage())
    assert message.startswith('image /nowhere/7.jpg (image id 7) cannot be')
    assert message.endswith('remove the image from the annotation file')
    assert said(Wrong()) is None
    assert said(WithoutWords()) is None
    message = said(NoCodec())
    assert 'asks for the' in message and "'MSRAHeatmapp'" in message
    assert 'Names like it: MSRAHeatmap' in message


def test_other_errors_keep_their_traceback():
    for error in (
        _raised(int, 'x'),
        _raised({}.__getitem__, 'key'),
        _raised(lambda: 1 / 0),
        _raised(MODELS.build, dict(no_type=1)),
    ):
        assert explain(error) is None
    with pytest.raises(ZeroDivisionError), report_user_errors('tool'):
        1 / 0  # noqa: B018


def test_told_without_traceback(capsys):
    with pytest.raises(SystemExit) as caught, report_user_errors('tool.py'):
        raise ConfigError('model.head: wrong. Do this')
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert err == 'tool.py: error: model.head: wrong. Do this\n'
