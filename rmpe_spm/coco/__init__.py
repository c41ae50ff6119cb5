"""Evaluation and files in COCO's layout."""
