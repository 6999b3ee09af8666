"""Many videos: find them, name their results, leave out what is done, tag the rest, keep what was found.

`nsnet tag` is this package and a printer; `tag_videos` is the same for programs.
"""
