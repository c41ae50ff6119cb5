"""What the STN does to a crop, drawn."""

import cv2
import numpy as np
import torch
from mmengine.dataset import pseudo_collate

from ..rmpe.parallel_sppe import ParallelSPPE
from ..rmpe.spatial_transformer import transform_points
from ..rmpe.theta import normalized_to_pixel_theta

GREEN, ORANGE = (80, 220, 60), (30, 140, 255)


@torch.no_grad()
def draw_stn(model: ParallelSPPE, crop: dict, scale: int = 1) -> np.ndarray:
    """Draw a packed crop before and after the STN, side by side, BGR.

    Before, the region that the STN takes is outlined and the joints that are
    predicted are drawn.
    """
    data = model.data_preprocessor(pseudo_collate([crop]), False)
    inputs, samples = data['inputs'], data['data_samples']
    # as model.predict does, for the outline and the keypoints to agree
    views = [inputs]
    if model.test_cfg.get('flip_test'):
        views.append(inputs.flip(-1))
    theta = model.sstn.test_theta(*map(model.regress_theta, views))
    warped = model.stn(inputs, theta)
    w, h = model.frame.size
    # the SPPE's input is the middle of a crop with context
    margin = (np.array(model.crop_size) - (w, h)) / 2
    corners = torch.tensor([[0, 0], [w - 1, 0], [w - 1, h - 1], [0, h - 1]])
    region = transform_points(
        normalized_to_pixel_theta(theta, (w, h)),
        corners.to(theta)[None],
    )[0]
    (result,) = model.predict(inputs, samples)
    meta = result.metainfo
    keypoints = result.pred_instances.keypoints[0, :, :2]
    corner = meta['input_center'] - meta['input_scale'] / 2
    keypoints = (keypoints - corner) / meta['input_scale'] * (w, h) + margin
    # of one size, the SPPE's input enlarged
    size = tuple(scale * n for n in model.crop_size)
    pictures = [
        cv2.resize(_to_picture(model, x[0]), size) for x in (inputs, warped)
    ]
    outline = (region.cpu().numpy() + margin) * scale
    outline = outline.round().astype(np.int32)
    cv2.polylines(pictures[0], [outline], True, ORANGE, 2, cv2.LINE_AA)
    scores = result.pred_instances.keypoint_scores[0]
    for (x, y), score in zip(keypoints * scale, scores, strict=True):
        if score > 0.2:
            point = round(float(x)), round(float(y))
            cv2.circle(pictures[0], point, 3, GREEN, -1, cv2.LINE_AA)
    return np.hstack(pictures)


def mosaic(pictures: list[np.ndarray], columns: int) -> np.ndarray:
    """Return pictures of one size in rows, with white margins."""
    pad = [(4, 4), (4, 4), (0, 0)]
    padded = [np.pad(p, pad, constant_values=255) for p in pictures]
    padded += [np.full_like(padded[0], 255)] * (-len(padded) % columns)
    rows = [
        np.hstack(padded[i : i + columns])
        for i in range(0, len(padded), columns)
    ]
    return np.vstack(rows)


def _to_picture(model: ParallelSPPE, crop: torch.Tensor) -> np.ndarray:
    """Return a preprocessed crop (3, h, w) as a BGR picture."""
    preprocessor = model.data_preprocessor
    if getattr(preprocessor, '_enable_normalize', False):
        crop = crop * preprocessor.std + preprocessor.mean
    picture = crop.clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
    if preprocessor._channel_conversion:
        picture = picture[..., ::-1]
    return np.ascontiguousarray(picture)
