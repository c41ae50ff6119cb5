"""Losses that mmpose lacks."""
