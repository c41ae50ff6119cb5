"""Backbones that mmpose lacks."""
