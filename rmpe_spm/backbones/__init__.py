"""Backbones and necks that mmpose lacks."""
