"""From HDR video (PQ and HLG) to the SDR that networks know, on pixels that are already small.

What a reference white (203 cd/m2, ITU-R BT.2408) shows becomes full SDR white, all below KNEE of it stays as it is, and
what is brighter, up to PEAK, is squeezed into the rest. Light is mapped channel by channel, in BT.709 primaries.
"""

from __future__ import annotations

import functools

import av
import numpy as np

PQ, HLG = 16, 18
"""Transfer characteristics as in ITU-T H.273."""
WHITE_NITS = 203.0
PEAK_NITS = 1000.0
PEAK = PEAK_NITS / WHITE_NITS
KNEE = 0.75
SDR_GAMMA = 2.4
HLG_SYSTEM_GAMMA = 1.2
"""Of a display with a peak of 1000 cd/m2 (BT.2100)."""
STEPS = 4096
BT2020_LUMA = np.array([0.2627, 0.678, 0.0593], np.float32)
TO_BT709 = {
    9: np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32),
    12: np.array([[1.2249, -0.2249, 0.0], [-0.0421, 1.0421, 0.0], [-0.0196, -0.0786, 1.0983]], np.float32),
}
"""From BT.2020 and from P3-D65, by H.273's numbers of primaries; others are near enough to BT.709."""


def is_hdr(frame: av.VideoFrame) -> bool:
    return frame.color_trc in (PQ, HLG)


def to_sdr(pixels: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """(H, W, 3) uint16 RGB of the whole range as coded to (H, W, 3) uint8 RGB."""
    light = _light(transfer).take(pixels >> 4)
    if transfer == HLG:  # so far light of the scene; a display makes it steeper
        luma = np.maximum(light @ BT2020_LUMA, 1e-6)
        light *= PEAK * (luma ** (HLG_SYSTEM_GAMMA - 1))[..., None]
    if primaries in TO_BT709:
        light = light @ TO_BT709[primaries].T
    index = np.sqrt(np.clip(light * (1 / PEAK), 0, 1)) * (STEPS - 1)  # the root gives dark tones their share of steps
    return _shown().take(index.astype(np.uint16))


@functools.cache
def _light(transfer: int) -> np.ndarray:
    """Linear light of each signal value: PQ in units of reference white, HLG in those of the scene's brightest."""
    signal = np.linspace(0, 1, STEPS)
    if transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = signal ** (1 / m2)
    nits = 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return (nits / WHITE_NITS).astype(np.float32)


@functools.cache
def _shown() -> np.ndarray:
    """8-bit SDR values of the light at the square root's steps."""
    light = np.linspace(0, 1, STEPS) ** 2 * PEAK
    over = np.maximum(light - KNEE, 0) / (1 - KNEE)
    most = (PEAK - KNEE) / (1 - KNEE)
    squeezed = KNEE + (1 - KNEE) * over * (1 + over / most**2) / (1 + over)  # Reinhard's curve, up to a white point
    light = np.where(light > KNEE, squeezed, light)
    return np.round(255 * light ** (1 / SDR_GAMMA)).astype(np.uint8)
