"""``rmpe-spm web``: a page that shows what both methods do with a picture."""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
from PIL import Image

from ..errors import ConfigError
from ..pose_nms.rule import make_rule
from .demonstration import Demonstration, Prediction
from .inputs import Picture, read_picture

if TYPE_CHECKING:
    from gradio import Blocks

MAX_BYTES = 20 << 20
MAX_PIXELS = 50_000_000
# of the longer side; larger pictures are shrunk
SHOWN_SIZE = 1280
# photographs by the US Navy and NASA, in the public domain, and the packages
# that carry them
PHOTOGRAPHS = {
    'matplotlib': 'mpl-data/sample_data/grace_hopper.jpg',
    'skimage': 'data/astronaut.png',
}
INSIDE = {
    'RMPE': 'STN: each crop, with what it takes outlined, and what it takes',
    'SPM': 'Root map',
}
ABOUT = f"""# Poses of people, by RMPE and SPM
**RMPE** takes boxes around the poses that SPM proposes, looks into each, moves
the crop by its spatial transformer (STN) to where the person is, and looks
again. **SPM** finds everybody in one pass, from the peaks of its root map. The
parametric pose NMS then removes poses that are double. Pictures have up to
{MAX_BYTES >> 20} MB and {MAX_PIXELS // 10**6} megapixels and are shrunk to
{SHOWN_SIZE} pixels."""


def installed_photographs() -> list[Path]:
    """Find photographs of people that installed packages carry."""
    found = []
    for package, name in PHOTOGRAPHS.items():
        spec = importlib.util.find_spec(package)
        for place in spec.submodule_search_locations if spec else ():
            found += [path for path in [Path(place, name)] if path.is_file()]
    return found


def read_bounded(path: str | os.PathLike | None) -> Picture:
    """Read an uploaded picture, its longer side at most ``SHOWN_SIZE``.

    Raises:
        ConfigError: There is none, it is too large or cannot be read.
    """
    if path is None:
        raise ConfigError('Choose a picture first.')
    if os.path.getsize(path) > MAX_BYTES:
        raise ConfigError(
            f'The file has more than {MAX_BYTES >> 20} MB: save the '
            'picture smaller.'
        )
    try:
        with Image.open(path) as header:
            width, height = header.size
        too_large = width * height > MAX_PIXELS
        image = None if too_large else read_picture(path)
    except Image.DecompressionBombError:
        too_large = True
    except Exception as error:  # a damaged file makes decoders raise anything
        raise ConfigError(
            'The picture cannot be read: it is damaged, or of a kind that '
            'is not known.'
        ) from error
    if too_large:
        raise ConfigError(
            f'The picture has more than {MAX_PIXELS // 10**6} megapixels: '
            'save it smaller.'
        )
    ratio = SHOWN_SIZE / max(image.shape[:2])
    if ratio < 1:
        size = [max(1, round(n * ratio)) for n in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return Picture(image, Path(path).name, 0)


def build_page(demonstration: Demonstration) -> 'Blocks':
    """Build the page of a demonstration."""
    try:
        import gradio as gr
    except ImportError as error:
        raise ConfigError(
            "the page needs Gradio: pip install 'rmpe-spm[web]'"
        ) from error

    def draw(prediction: Prediction | None, *thresholds: float) -> list:
        if prediction is None:
            return [None, None, '']
        pictures, counts = demonstration.draw(prediction, *thresholds)
        said = 'Poses: **{}** before the pose NMS, **{}** after'
        return [*(each[..., ::-1] for each in pictures), said.format(*counts)]

    def predict(path: str | None, method: str, *thresholds: float) -> list:
        try:
            picture = read_bounded(path)
        except ConfigError as error:
            raise gr.Error(str(error), print_exception=False) from error
        found = demonstration.predict(method.lower(), picture)
        inside = found.inside
        return [
            found,
            *draw(found, *thresholds),
            gr.Image(
                None if inside is None else inside[..., ::-1],
                label=INSIDE[method],
                visible=inside is not None,
            ),
        ]

    def shown(label: str | None = None, **options: Any) -> gr.Image:
        buttons = ['download', 'fullscreen']
        return gr.Image(
            label=label, interactive=False, buttons=buttons, **options
        )

    rule = make_rule('learned')
    with gr.Blocks(title='rmpe_spm', analytics_enabled=False) as page:
        gr.Markdown(ABOUT)
        state = gr.State(time_to_live=3600)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                upload = gr.Image(
                    label='Picture',
                    type='filepath',
                    image_mode=None,  # so that it is checked before decoding
                    sources=['upload', 'clipboard'],
                )
                examples = installed_photographs()
                if examples:
                    gr.Examples([[str(each)] for each in examples], [upload])
                method = gr.Radio(
                    ['RMPE', 'SPM'], value='RMPE', label='Method'
                )
                button = gr.Button('Find poses', variant='primary')
                eta = gr.Slider(
                    0.05,
                    1 + rule.lambda_,
                    round(rule.eta, 2),
                    step=0.01,
                    label='Pose NMS: threshold',
                    info='similarity a joint from which on a pose is double',
                )
                score = gr.Slider(
                    0, 0.5, 0.04, step=0.01, label='Lowest score of a person'
                )
            with gr.Column(scale=3):
                said = gr.Markdown()
                with gr.Row():
                    before = shown('Before the pose NMS')
                    after = shown('After the pose NMS')
                inside = shown(visible=False)
        thresholds, drawn = [eta, score], [before, after, said]
        events = dict(
            concurrency_id='models',
            concurrency_limit=1,
            api_visibility='private',
        )
        button.click(
            predict,
            [upload, method, *thresholds],
            [state, *drawn, inside],
            **events,
        )
        gr.on(
            [each.change for each in thresholds],
            draw,
            [state, *thresholds],
            drawn,
            trigger_mode='always_last',
            show_progress='hidden',
            **events,
        )
    return page.queue(max_size=20)


def serve(
    page: 'Blocks', host: str, port: int | None, wait: bool = True
) -> str:
    """Serve the page, by default until Ctrl-C; return its URL.

    Without a port it is a free one from 7860 on.

    Raises:
        ConfigError: The address cannot be used.
    """
    import gradio as gr

    # of the system: Gradio's own would come from the network
    fonts = dict(font=['system-ui', 'sans-serif'], font_mono=['monospace'])
    try:
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            ssr_mode=False,
            max_file_size=MAX_BYTES,
            state_session_capacity=50,
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
            theme=gr.themes.Default(**fonts),
            prevent_thread_lock=not wait,
        )
    except OSError as error:
        raise ConfigError(f'{host}:{port} cannot be used: {error}') from error
    return url
