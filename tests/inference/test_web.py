"""The page, in a headless browser where there is one."""

import shutil
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from rmpe_spm import ConfigError
from rmpe_spm.inference import command_line, web
from rmpe_spm.inference.demonstration import Demonstration

from .conftest import random_image


@pytest.fixture(scope='module')
def demonstration():
    """The shipped models; ``found`` is what they found so far."""
    shown = Demonstration('cpu')
    predict, shown.found = shown.predict, []

    def noted(*args):
        shown.found.append(predict(*args))
        return shown.found[-1]

    shown.predict = noted
    return shown


@pytest.fixture(scope='module')
def photograph():
    return web.installed_photographs()[0]


@pytest.mark.parametrize('method', ['rmpe', 'spm'])
def test_what_happens_inside_is_drawn(demonstration, photograph, method):
    picture = web.read_bounded(photograph)
    found = demonstration.predict(method, picture)
    (before, after), counts = demonstration.draw(found, 0.3, 0.0)
    assert before.shape == after.shape == picture.image.shape
    assert counts[0] == len(found.poses.keypoints) >= counts[1] >= 1
    # brightest about the admiral's root
    if method == 'spm':
        light = found.inside.sum(-1)
        assert light.shape == picture.image.shape[:2]
        y, x = np.unravel_index(light.argmax(), light.shape)
        assert 150 < x < 400 and 200 < y < 500
    else:
        # crops of 1.6 times 256, before and after, with margins
        assert found.inside.shape[0] % (410 + 8) == 0


def test_nobody_is_found_on_one_pixel(demonstration):
    picture = web.Picture(np.zeros((1, 1, 3), np.uint8), 'dot.png', 0)
    for method in ('rmpe', 'spm'):
        found = demonstration.predict(method, picture)
        (before, _), counts = demonstration.draw(found, 1.0, 0.0)
        assert before.shape == (1, 1, 3) and counts[0] >= counts[1]


def test_what_is_uploaded_is_bounded(tmp_path, monkeypatch):
    wide = tmp_path / 'wide.png'
    cv2.imwrite(str(wide), random_image(size=(3200, 40)))
    assert web.read_bounded(wide).size == (1280, 16)
    vast, bomb = tmp_path / 'vast.png', tmp_path / 'bomb.png'
    Image.new('1', (10_000, 6_000)).save(vast)
    Image.new('1', (20_000, 20_000)).save(bomb)
    for path in (vast, bomb):
        with pytest.raises(ConfigError, match='more than 50 megapixels'):
            web.read_bounded(path)
    (tmp_path / 'text.png').write_text('text')
    with pytest.raises(ConfigError, match='cannot be read'):
        web.read_bounded(tmp_path / 'text.png')
    with pytest.raises(ConfigError, match='Choose a picture'):
        web.read_bounded(None)
    monkeypatch.setattr(web, 'MAX_BYTES', 100)
    with pytest.raises(ConfigError, match='The file has more'):
        web.read_bounded(wide)


@pytest.mark.parametrize(
    ('given', 'host'), [([], '127.0.0.1'), (['--host=0.0.0.0'], '0.0.0.0')]
)
def test_command_serves_this_machine_unless_told(monkeypatch, given, host):
    served = []
    monkeypatch.setattr(command_line, 'Demonstration', lambda device: None)
    monkeypatch.setattr(command_line, 'build_page', lambda shown: 'page')
    monkeypatch.setattr(
        command_line, 'serve', lambda *args: served.append(args)
    )
    assert command_line.main(['web', *given, '--port=7000']) == 0
    assert served == [('page', host, 7000)]


@pytest.fixture(scope='module')
def url(demonstration):
    pytest.importorskip('gradio')
    page = web.build_page(demonstration)
    yield web.serve(page, '127.0.0.1', None, wait=False)
    page.close()


@pytest.fixture
def browser(tmp_path):
    webdriver = pytest.importorskip('selenium.webdriver')
    driver, binary = shutil.which('chromedriver'), shutil.which('chromium')
    if not driver or not binary:
        pytest.skip('chromium and chromedriver are not installed')
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (
        'headless no-sandbox disable-gpu disable-quic no-first-run '
        'disable-background-networking disable-component-update disable-sync '
        'disable-dev-shm-usage window-size=1280,1400 '
        f'user-data-dir={tmp_path / "profile"}'
    ).split():
        options.add_argument(f'--{flag}')
    service = webdriver.ChromeService(executable_path=driver)
    browser = webdriver.Chrome(options=options, service=service)
    yield Page(browser)
    browser.quit()


class Page:
    """What a person does on the page."""

    def __init__(self, browser):
        self.browser = browser

    def all(self, css):
        return self.browser.find_elements('css selector', css)

    def wait_for(self, what, seconds=120):
        end = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < end, self.text()
            time.sleep(0.2)
        return found

    def text(self):
        return self.browser.find_element('css selector', 'body').text

    def wait_for_text(self, *parts):
        self.wait_for(lambda: all(part in self.text() for part in parts))

    def upload(self, path):
        (field, *_) = self.wait_for(lambda: self.all('input[type=file]'))
        field.send_keys(str(path))
        self.wait_for(lambda: self.all(f'img[src*="{path.name}"]'))

    def click(self, css, text):
        (one,) = [each for each in self.all(css) if each.text == text]
        one.click()

    def set_thresholds(self, *values):
        fields = self.all('input[type=number]')
        for field, value in zip(fields, values, strict=True):
            field.clear()
            field.send_keys(str(value), '\n')


def test_a_picture_is_uploaded(
    browser, url, demonstration, photograph, tmp_path
):
    shutil.copy(photograph, tmp_path / 'mine.jpg')
    demonstration.found.clear()
    browser.browser.get(url)
    browser.wait_for_text('Poses of people', 'Find poses')
    browser.click('button', 'Find poses')
    browser.wait_for_text('Choose a picture first')
    browser.upload(tmp_path / 'mine.jpg')
    browser.click('button', 'Find poses')
    browser.wait_for_text('before the pose NMS', 'STN: each crop')
    # then the pose NMS alone runs
    (found,) = demonstration.found
    for thresholds in ((0.05, 0.04), (0.05, 0.0), (2.7, 0.0)):
        browser.set_thresholds(*thresholds)
        before, after = demonstration.draw(found, *thresholds)[1]
        browser.wait_for_text(f'{before} before the pose NMS, {after} after')
    assert len(demonstration.found) == 1
    browser.click('label', 'SPM')
    browser.click('button', 'Find poses')
    browser.wait_for_text('Root map')
    assert [each.method for each in demonstration.found] == ['rmpe', 'spm']
    assert found.picture.name == 'mine.jpg'
