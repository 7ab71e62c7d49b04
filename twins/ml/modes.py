"""Ways of failing, found where lives ended: items of one kind may wear out in directions that have little in common.

Ends are compared by direction alone, against the noise of the inputs (spherical k-means: Dhillon and Modha 2001), and
split only where the groups are well apart (silhouette: Rousseeuw 1987). One way of failing is the answer in doubt.
"""

from __future__ import annotations

import numpy as np

from twins.ml.lives import Floats, Ints

_MOST = 4
_FEWEST = 5
"""Ends that make a way of failing."""
_APART = 0.3
"""Mean silhouette from which on groups are believed."""
_ROUNDS = 50


def find_modes(came: Floats, noise: Floats) -> Ints:
    """[lives] number of the way of failing, from how far inputs had come at the end [lives, inputs]."""
    whole = np.zeros(len(came), np.int64)
    if len(came) < 2 * _FEWEST:
        return whole
    pointing = came @ np.linalg.inv(np.linalg.cholesky(noise)).T
    pointing /= np.maximum(np.linalg.norm(pointing, axis=1, keepdims=True), 1e-9)
    best, found = _APART, whole
    for count in range(2, min(_MOST, len(came) // _FEWEST) + 1):
        mode = _split(pointing, count)
        if np.bincount(mode, minlength=count).min() >= _FEWEST:
            apart = _silhouette(pointing, mode)
            if apart > best:
                best, found = apart, mode
    return found


def _split(pointing: Floats, count: int) -> Ints:
    """Spherical k-means from the ends that are farthest from each other, so that it always finds the same."""
    centres = [pointing[np.argmin(pointing @ pointing.mean(axis=0))]]
    while len(centres) < count:
        centres.append(pointing[np.argmin((pointing @ np.array(centres).T).max(axis=1))])
    middle = np.array(centres)
    mode = np.zeros(len(pointing), np.int64)
    for _ in range(_ROUNDS):
        mode = np.argmax(pointing @ middle.T, axis=1)
        moved = np.array([pointing[mode == i].mean(axis=0) if (mode == i).any() else middle[i] for i in range(count)])
        moved /= np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9)
        if np.allclose(moved, middle):
            break
        middle = moved
    return mode


def _silhouette(pointing: Floats, mode: Ints) -> float:
    """Mean over ends of how much nearer the own group is than the next, from -1 to 1."""
    member = (mode[:, None] == np.unique(mode)[None, :]).astype(np.float64)
    sums = (1 - pointing @ pointing.T) @ member
    own = member.astype(bool)
    size = member.sum(axis=0)
    within = sums[own] / np.maximum(size[mode] - 1, 1)
    nearest = np.where(own, np.inf, sums / size).min(axis=1)
    return float(np.mean((nearest - within) / np.maximum(np.maximum(nearest, within), 1e-12)))
