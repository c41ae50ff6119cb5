"""Keypoint codecs: from poses to training targets and back."""
