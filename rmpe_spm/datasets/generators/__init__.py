"""The embedded data set: generated images of people in COCO layout."""
