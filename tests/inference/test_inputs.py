"""Inputs of all kinds become one stream of upright BGR pictures."""

import functools
import http.server
import threading

import cv2
import numpy as np
import pytest
from PIL import Image

from rmpe_spm.inference.inputs import LOGGER, InputStream, read_picture

# Red, green / blue, white: which corner is where tells how it is turned.
CORNERS = np.array(
    [[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 255, 255)]], np.uint8
)
RGB = CORNERS.repeat(8, axis=0).repeat(16, axis=1)
BGR = np.ascontiguousarray(RGB[..., ::-1])


def read(inputs):
    stream = InputStream(inputs)
    return list(stream), stream.skipped


def read_one(inputs):
    (picture,), skipped = read(inputs)
    assert not skipped
    return picture


def same(left, right, atol=0):
    assert left.dtype == np.uint8 and left.shape == right.shape
    np.testing.assert_allclose(left.astype(int), right, atol=atol)


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.tif', '.webp', '.ppm'])
def test_formats(tmp_path, suffix):
    path = tmp_path / f'a{suffix}'
    lossless = {'lossless': True} if suffix == '.webp' else {}
    Image.fromarray(RGB).save(path, **lossless)
    picture = read_one(path)
    same(picture.image, BGR)
    assert picture.name == str(path) and picture.size == (32, 16)
    assert (picture.index, picture.frame, picture.fps) == (0, None, None)


@pytest.mark.parametrize(
    'orientation, upright',
    [
        (1, lambda x: x),
        (2, lambda x: x[:, ::-1]),
        (3, lambda x: x[::-1, ::-1]),
        (4, lambda x: x[::-1]),
        (5, lambda x: x.transpose(1, 0, 2)),
        (6, lambda x: np.rot90(x, -1)),
        (7, lambda x: np.rot90(x, 2).transpose(1, 0, 2)),
        (8, lambda x: np.rot90(x)),
    ],
)
@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_exif_rotation_is_honoured(tmp_path, orientation, upright, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(
        tmp_path / f'a{suffix}', exif=exif, quality=95, subsampling=0
    )
    same(read_one(tmp_path / f'a{suffix}').image, upright(BGR), 12)


def test_grey_alpha_palette_and_cmyk(tmp_path):
    image = Image.fromarray(RGB)
    grey = np.asarray(image.convert('L'))
    rgba = np.dstack((RGB, np.full(RGB.shape[:2], 7, np.uint8)))

    def read_back(image, name, **options):
        image.save(tmp_path / name, **options)
        return read_one(tmp_path / name).image

    for mode, bands in (('L', grey), ('LA', np.dstack((grey, grey)))):
        found = read_back(Image.fromarray(bands, mode), f'{mode}.png')
        same(found, np.dstack([grey] * 3))
    found = read_back(image.convert('1'), 'bits.png')
    assert set(np.unique(found)) == {0, 255}
    same(read_back(Image.fromarray(rgba), 'alpha.png'), BGR)
    same(read_back(image.quantize(4), 'palette.png'), BGR)
    cmyk, exact = image.convert('CMYK'), dict(quality=95, subsampling=0)
    same(read_back(cmyk, 'cmyk.jpg', **exact), BGR, 12)
    same(read_back(cmyk, 'cmyk.tif'), BGR)


def test_sixteen_bits_keep_their_range(tmp_path):
    ramp = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    expected = np.dstack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3)
    colour = np.dstack([ramp] * 3)
    for name, image in (('a.png', ramp), ('a.tif', ramp), ('b.png', colour)):
        cv2.imwrite(str(tmp_path / name), image)
        same(read_one(tmp_path / name).image, expected)


def test_photographs_are_as_opencv_reads_them(shared_dir):
    folder = shared_dir / 'data' / 'mmpose_samples' / 'coco'
    paths = sorted(folder.glob('*.jpg'))
    assert paths
    for path in paths:
        np.testing.assert_array_equal(
            read_picture(path), cv2.imread(str(path))
        )


def test_one_pixel_and_8000(tmp_path):
    Image.new('RGB', (1, 1), (1, 2, 3)).save(tmp_path / 'one.png')
    Image.new('L', (8000, 600), 9).save(tmp_path / 'large.png')
    one, large = read([tmp_path / 'one.png', tmp_path / 'large.png'])[0]
    assert one.image.tolist() == [[[3, 2, 1]]]
    assert large.image.shape == (600, 8000, 3)


@pytest.mark.parametrize(
    'array',
    [
        RGB[..., 0],
        RGB[..., :1],
        np.dstack((BGR, BGR[..., 0])),
        BGR.astype(np.uint16) * 257,
    ],
    ids=['grey', 'one channel', 'alpha', '16 bits'],
)
def test_arrays(array):
    expected = BGR
    if array.ndim == 2 or array.shape[2] == 1:
        expected = np.dstack([RGB[..., 0]] * 3)
    picture = read_one(array)
    same(picture.image, expected)
    assert picture.image.flags.c_contiguous and picture.name == 'array'
    pictures, _ = read(np.stack([BGR, BGR]))  # a stack of them
    assert [picture.index for picture in pictures] == [0, 1]


def test_lists_folders_and_patterns(pictures, tmp_path):
    (pictures / 'notes.txt').write_text('no picture')
    (pictures / 'inner').mkdir()
    Image.fromarray(RGB).save(pictures / 'inner' / '9.PNG')
    names = [str(pictures / f'{i}.png') for i in range(1, 6)]
    inner = str(pictures / 'inner' / '9.PNG')

    def found(inputs):
        stream = InputStream(inputs)
        taken = [picture.name for picture in stream]
        assert not stream.skipped and stream.count() in (None, len(taken))
        return taken

    assert found(str(pictures)) == names
    assert found(str(pictures / '*.png')) == names
    assert found(f'{pictures}/**/*.*[gG]') == [*names, inner]
    mixed = found([names[2], pictures / 'inner', BGR, [names[0]]])
    assert mixed == [names[2], inner, 'array', names[0]]
    assert found(iter(names)) == names
    # a name with a bracket is a file before it is a pattern
    Image.fromarray(RGB).save(tmp_path / 'a[1].png')
    assert found(tmp_path / 'a[1].png') == [str(tmp_path / 'a[1].png')]


def test_unreadable_inputs_are_skipped_and_counted(tmp_path, caplog):
    good = tmp_path / 'good.jpg'
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    cv2.imwrite(str(good), noise)
    content = good.read_bytes()
    (tmp_path / 'empty.jpg').write_bytes(b'')
    (tmp_path / 'cut.jpg').write_bytes(content[: len(content) // 2])
    (tmp_path / 'text.png').write_text('this is text')
    (tmp_path / 'empty.mp4').write_bytes(b'')
    (tmp_path / 'nothing').mkdir()
    bad = {
        tmp_path / 'empty.jpg': 'the file is empty',
        tmp_path / 'cut.jpg': 'truncated',
        tmp_path / 'text.png': 'it is no picture',
        tmp_path / 'empty.mp4': 'no frame of it can be decoded',
        tmp_path / 'missing.jpg': 'no such file or folder',
        tmp_path / 'nothing': 'no picture and no video',
        tmp_path / '*.gif': 'no file matches',
        'webcam:77': 'no such camera',
        77: 'no such camera',
        'http://127.0.0.1:9/a.jpg': 'refused',
        None: 'no picture',
    }
    arrays = [BGR.astype(float), np.zeros((0, 4, 3), 'u1'), BGR[None, None]]
    taken, skipped = read([*bad, *arrays, good])
    assert [picture.name for picture in taken] == [str(good)]
    assert taken[0].index == len(bad) + len(arrays)
    assert len(skipped) == len(bad) + len(arrays)
    for (name, reason), (given, expected) in zip(skipped, bad.items()):  # noqa: B905
        assert name.endswith(str(given)) and expected in reason
    assert 'uint8' in skipped[-3][1] and '(0, 4, 3)' in skipped[-2][1]


def test_videos(tmp_path, write_video):
    frames = write_video(tmp_path / 'a.avi')
    stream = InputStream([BGR, tmp_path / 'a.avi'])
    assert stream.count() == 13
    taken = list(stream)
    assert [picture.frame for picture in taken] == [None, *range(12)]
    assert [picture.index for picture in taken] == list(range(13))
    assert taken[1].fps == 10
    for picture, frame in zip(taken[1:], frames, strict=True):
        same(picture.image, frame, 2)
    Image.fromarray(RGB).save(
        tmp_path / 'b.gif', save_all=True,
        append_images=[Image.fromarray(RGB[::-1])])  # fmt: skip
    assert len(read(tmp_path / 'b.gif')[0]) == 2


def test_a_cut_video_keeps_what_decodes(tmp_path, write_video, monkeypatch):
    logged = []
    monkeypatch.setattr(LOGGER, 'warning', logged.append)
    write_video(tmp_path / 'a.avi', 40)
    content = (tmp_path / 'a.avi').read_bytes()
    (tmp_path / 'cut.avi').write_bytes(content[: len(content) * 6 // 10])
    taken, skipped = read(tmp_path / 'cut.avi')
    assert 10 < len(taken) < 30 and not skipped
    (message,) = logged
    assert f'ends after {len(taken)} of 40 frames' in message


def test_urls(tmp_path, write_video):
    Image.fromarray(RGB).save(tmp_path / 'a b.png')
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=tmp_path
    )
    handler.log_message = lambda *args: None
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f'http://127.0.0.1:{server.server_address[1]}'
        taken, skipped = read([f'{url}/a%20b.png', f'{url}/none.png'])
    finally:
        server.shutdown()
        server.server_close()
    same(taken[0].image, BGR)
    assert '404' in skipped[0][1]
