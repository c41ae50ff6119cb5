"""Poses, boxes and fitted models as plain arrays and dataclasses."""
