"""Labelled videos: label files and folders, features of each video, folds, and the metrics of both.

Training and evaluation are built on this package, and it knows neither.
"""
