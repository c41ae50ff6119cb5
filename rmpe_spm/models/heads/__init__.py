"""Heads: SPMHead and SSTNHead."""
