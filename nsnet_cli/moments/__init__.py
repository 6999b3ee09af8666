"""Moments of videos: what is done with a span once it is found."""
