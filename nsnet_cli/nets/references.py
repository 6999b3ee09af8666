"""Reference frames: pictures that show nothing in particular, against which a word's cosines are measured.

nsnet has no real footage in its package, so they are made: skies and floors of soft colours, blurred textures, grain,
edges, blobs and stripes, dark and bright ones. Their numbers never change.
"""

from __future__ import annotations

import numpy as np

COUNT = 48
COARSEST, FINEST = 2, 64
"""Cells per side of the textures."""


def reference_frames(size_px: int) -> np.ndarray:
    """(COUNT, S, S, 3) uint8, the same on every machine but for rounding."""
    drawn = np.random.RandomState(20)  # its numbers never change
    makers = (_texture, _gradient, _shapes)
    frames = [makers[n % 3](drawn, size_px) for n in range(COUNT)]
    return np.stack([np.clip(np.rint(frame), 0, 255).astype(np.uint8) for frame in frames])


def _texture(drawn: np.random.RandomState, side: int) -> np.ndarray:
    """Soft colours on several scales, like cloth, leaves or walls that are out of focus."""
    frame = np.zeros((side, side, 3))
    cells, strength, fade = COARSEST, 1.0, drawn.uniform(0.3, 0.8)
    while cells <= FINEST:
        frame += strength * _grown(drawn.standard_normal((cells, cells, 3)), side)
        cells, strength = 2 * cells, strength * fade
    grey = frame.mean(2, keepdims=True)
    frame = grey + drawn.uniform(0, 1) * (frame - grey)
    return drawn.uniform(60, 200) + drawn.uniform(15, 50) * frame / frame.std()


def _gradient(drawn: np.random.RandomState, side: int) -> np.ndarray:
    """One colour above and one below, as sky and ground are."""
    above, below = drawn.uniform(20, 240, (2, 3))
    down = np.linspace(0, 1, side)[:, None, None]
    share = 1 / (1 + np.exp(-drawn.uniform(2, 60) * (down - drawn.uniform(0.2, 0.8))))
    frame = above * (1 - share) + below * share + np.zeros((side, side, 3))
    return frame + drawn.uniform(1, 12) * drawn.standard_normal((side, side, 1))


def _shapes(drawn: np.random.RandomState, side: int) -> np.ndarray:
    """Boxes and discs of any colours before a soft background."""
    frame = _texture(drawn, side)
    y, x = np.mgrid[0:side, 0:side] / side
    for _ in range(drawn.randint(2, 9)):
        at_x, at_y, half_x, half_y = drawn.uniform(0, 1), drawn.uniform(0, 1), *drawn.uniform(0.03, 0.3, 2)
        disc = ((x - at_x) / half_x) ** 2 + ((y - at_y) / half_y) ** 2 < 1
        box = (np.abs(x - at_x) < half_x) & (np.abs(y - at_y) < half_y)
        inside = disc if drawn.uniform() < 0.5 else box
        frame[inside] = drawn.uniform(0, 255, 3) + 6 * drawn.standard_normal((int(inside.sum()), 3))
    return frame


def _grown(cells: np.ndarray, side: int) -> np.ndarray:
    """(n, n, 3) -> (side, side, 3), straight lines between the middles of cells."""
    at = np.clip((np.arange(side) + 0.5) * len(cells) / side - 0.5, 0, len(cells) - 1)
    low = np.minimum(at.astype(int), len(cells) - 2)
    share = at - low
    rows = cells[low] * (1 - share)[:, None, None] + cells[low + 1] * share[:, None, None]
    return np.asarray(rows[:, low] * (1 - share)[:, None] + rows[:, low + 1] * share[:, None])
