"""The embedded data set: generated images of people in COCO layout."""

from .people_dataset import generate_dataset, generate_sample

__all__ = ['generate_dataset', 'generate_sample']
