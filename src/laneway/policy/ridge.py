"""A straight line beside the vote: what a prompt's vector alone says about each model.

Owns: fitting one ridge per model on vectors and tags, with the penalty under which the models' *differences* are
predicted best when each example is left out (exactly, without refitting), and reading the fit.
Refuses: deciding when to refit, and blending, which `knn` does. numpy is loaded by the first fit, which runs in the
background; reading a fit needs none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from laneway import _core

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]

TAG_LENGTH = math.sqrt(0.2)
"""A tag's part of a vector, where all the rest has length 1; as the core compares them."""
FEWEST_LABELS = 30
PENALTIES = tuple(0.1 * 10 ** (at / 4) for at in range(17))


class Ridge(msgspec.Struct, frozen=True):
    """What was fitted: a line per model, with what each tag adds, read by the core."""

    lines: _core.Ridge
    penalty: float

    def expect(self, vector: npt.NDArray[np.float32], tag: int = 0) -> list[float]:
        """Each model's expected score from 0 to 1, NaN for a model that had too few labels to be fitted."""
        return self.lines.expect(vector, tag)


_TAGGED = 1 / math.sqrt(1 + TAG_LENGTH**2)


def fit(
    vectors: npt.NDArray[np.float32], labels: npt.NDArray[np.float32], tags: npt.NDArray[np.uint16] | None = None
) -> Ridge | None:
    """None where no model has enough labels. A label that is missing is NaN; a tag of 0 is none."""
    import numpy as np

    present = ~np.isnan(labels)
    fitted = np.flatnonzero(present.sum(axis=0) >= FEWEST_LABELS)
    if not len(fitted):
        return None
    rows = _beside_tags(vectors, tags)
    designs: dict[bytes, _Design] = {}
    for model in fitted.tolist():
        mask = present[:, model]
        design = designs.get(mask.tobytes())
        if design is None:
            design = designs[mask.tobytes()] = _Design(rows, mask)
        design.take(model, labels[:, model])
    penalty = min(PENALTIES, key=lambda at: _error(designs.values(), labels.shape, at))
    weights = np.zeros((labels.shape[1], rows.shape[1]))
    intercepts = np.full(labels.shape[1], np.nan)
    for design in designs.values():
        for model, line, intercept in design.solve(penalty):
            weights[model], intercepts[model] = line, intercept
    dims = vectors.shape[1]
    of_tags = np.zeros((rows.shape[1] - dims + 1, labels.shape[1]), np.float32)
    of_tags[1:] = TAG_LENGTH * weights[:, dims:].T
    lines = np.ascontiguousarray(weights[:, :dims], np.float32)
    return Ridge(_core.Ridge(lines, of_tags, intercepts.astype(np.float32), _TAGGED), penalty)


def _beside_tags(vectors: npt.NDArray[np.float32], tags: npt.NDArray[np.uint16] | None) -> Floats:
    """Vectors as they are compared: the tag's part beside the content, length 1 together."""
    import numpy as np

    if tags is None or not tags.any():
        return vectors.astype(np.float64)
    dims = vectors.shape[1]
    rows = np.zeros((len(vectors), dims + int(tags.max())))
    rows[:, :dims] = vectors
    tagged = np.flatnonzero(tags)
    rows[tagged, dims - 1 + tags[tagged]] = TAG_LENGTH
    rows[tagged] *= _TAGGED
    return rows


class _Design:
    """The rows that some models have labels for, decomposed once for all penalties."""

    def __init__(self, rows: Floats, mask: npt.NDArray[np.bool_]) -> None:
        import numpy as np

        self.mask = mask
        self.models: list[int] = []
        self.labels: list[Floats] = []
        own = rows if mask.all() else rows[mask]
        self.centre = own.mean(axis=0)
        own = own - self.centre
        squares, self.axes = np.linalg.eigh(own.T @ own)
        self.squares = np.maximum(squares, 0.0)
        self.along = own @ self.axes
        self.along_squared = self.along**2

    def take(self, model: int, labels: npt.NDArray[np.float32]) -> None:
        self.models.append(model)
        self.labels.append(labels[self.mask].astype("float64"))

    def left_out(self, penalty: float) -> Floats:
        """What each row's label differs by from what the other rows expect, one column per model."""
        import numpy as np

        shrunk = 1 / (self.squares + penalty)
        labels = np.stack(self.labels, axis=1)
        about = labels - labels.mean(axis=0)
        residual = about - self.along @ (shrunk[:, None] * (self.along.T @ about))
        leverage = 1 / len(labels) + self.along_squared @ shrunk
        out: Floats = residual / np.maximum(1 - leverage, 1e-9)[:, None]
        return out

    def solve(self, penalty: float) -> list[tuple[int, Floats, float]]:
        solved = []
        for model, labels in zip(self.models, self.labels, strict=True):
            mean = float(labels.mean())
            line = self.axes @ ((self.along.T @ (labels - mean)) / (self.squares + penalty))
            solved.append((model, line, mean - float(self.centre @ line)))
        return solved


def _error(designs: Iterable[_Design], shape: tuple[int, ...], penalty: float) -> float:
    """Mean squared error of differences between models; of single models where no example has two labels."""
    import numpy as np

    residuals = np.full(shape, np.nan)
    for design in designs:
        residuals[np.flatnonzero(design.mask)[:, None], design.models] = design.left_out(penalty)
    several = (~np.isnan(residuals)).sum(axis=1) >= 2
    if several.any():
        rows = residuals[several]
        return float(np.nanmean((rows - np.nanmean(rows, axis=1, keepdims=True)) ** 2))
    return float(np.nanmean(residuals**2))
