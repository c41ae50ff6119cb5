"""Pose estimators: ParallelSPPE."""
