"""Tags many videos: finds them, names their results, skips what is done, tags the rest, keeps the results.

`nsnet tag` adds a printer to this package. `tag_videos` is the same for programs.
"""
