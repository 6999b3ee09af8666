"""Finds cuts between key frames by the sizes of packets in the index, so that nothing has to be decoded for it.

A picture that looks like none before it takes about as many bytes as a key frame, whatever the encoder calls it.
"""

from __future__ import annotations

import numpy as np

KEY_SHARE = 0.2
"""A picture behind a cut has at least this share of the bytes of the smaller key frame around it."""
LEAP = 2.0
"""It has at least this many times the bytes of each of the NEAR pictures stored before it, key frames aside."""
DROP = 3.0
"""Or it is as large as these, and has at least this many times the bytes of each of the NEAR pictures stored after it:
a busy scene gives way to a calm one.
"""
NEAR = 8


def cut_times(times_s: np.ndarray, sizes: np.ndarray, keys: np.ndarray) -> list[float]:
    """Returns when cuts are likely, ascending, for packets in the order in which they are stored.

    times_s (N,) seconds, sizes (N,) bytes, keys (N,) bool. Key frames are not among the cuts.
    """
    others = np.flatnonzero(~keys)
    key_sizes = sizes[keys]
    if len(others) <= 1 or not len(key_sizes):
        return []
    place = np.searchsorted(np.flatnonzero(keys), others) - 1  # of the key frame before each, -1: none
    around = np.minimum(key_sizes[np.maximum(place, 0)], key_sizes[np.minimum(place + 1, len(key_sizes) - 1)])
    small = sizes[others]
    beyond = np.full(NEAR, np.inf)  # nothing leaps beside what is not there
    most = np.lib.stride_tricks.sliding_window_view(np.concatenate([beyond, small, beyond]), NEAR).max(1)
    before, after = most[: len(small)], most[NEAR + 1 :]
    leaps = (small >= LEAP * before) | ((small >= before) & (small >= DROP * after))
    likely = leaps & (small >= KEY_SHARE * around)
    return sorted(times_s[others[likely]].tolist())
