"""Labelled videos: label files and folders, features per video, folds, and metrics.

Training and evaluation use this package; it imports neither.
"""
