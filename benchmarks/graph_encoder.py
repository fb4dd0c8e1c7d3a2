#!/usr/bin/env python3
"""Measure the graph encoder: does it predict links, and what does it cost beside a bare sparse product.

    benchmarks/graph_encoder.py FOLDER [--quick] [--edges 1000000] [--seeds 3] [--json FILE]

FOLDER holds a graph: nodes.tsv (id, class, word ids), edges.tsv (pairs of ids), undirected, such as the
public citation graph Cora. A tenth of its edges is held out, as many pairs without an edge are drawn, and
the cosine of the vectors has to tell them apart (AUC). `inductive`: a tenth of the nodes is unseen in
training, with all their edges. No database is used.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Not this file's folder: its queue.py would hide the standard library's `queue`.
sys.path[0] = str(ROOT)

import argparse  # noqa: E402
import json  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

from seedcore.embed.graph_encoder.encoders import GraphHead, GraphMean, Head  # noqa: E402
from seedcore.embed.graph_encoder.features import TEXT, WIDTH, Features, weighted  # noqa: E402
from seedcore.embed.graph_encoder.fit import Edges, auc, fit  # noqa: E402
from seedcore.embed.graph_encoder.propagate import operators  # noqa: E402
from seedcore.embed.graph_encoder.sample import Sample, both_ways  # noqa: E402

MARK_AUC = 0.935
MARK_TIMES = 4.0
NAMES = ("cites",)


def main() -> int:
    """Measure and print; exit 1 when a mark is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="one seed, a tenth of the edges")
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hops", type=int, default=2)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    seeds = 1 if asked.quick else asked.seeds
    count = asked.edges // 10 if asked.quick else asked.edges
    features, pairs = read(asked.folder)
    rows = [quality(features, pairs, seed, asked.hops) for seed in range(seeds)]
    found: dict[str, Any] = {
        name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]
    }
    found |= speed(count, asked.hops)
    for name, value in found.items():
        print(f"{name:28} {value}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")
    marks = {
        f"AUC of graph-head >= {MARK_AUC}": found["head_auc"] >= MARK_AUC,
        f"encoding <= {MARK_TIMES:g} bare products": found["head_times_bare"] <= MARK_TIMES,
        "the same bits again": bool(found["same_bits"]),
    }
    for mark, is_reached in marks.items():
        print(f"{'reached' if is_reached else 'MISSED '}  {mark}")
    return 0 if all(marks.values()) else 1


def read(folder: Path) -> tuple[Any, Any]:
    """Return the features of a graph and its edges as pairs of positions."""
    built = Features()
    for line in (folder / "nodes.tsv").read_text().splitlines():
        words = line.split("\t")[2].split()
        built.add("artifact", " ".join(spelt(word) for word in words))
    pairs = [line.split("\t") for line in (folder / "edges.tsv").read_text().splitlines()]
    return built.matrix(), np.array(pairs, dtype=np.int64)


def spelt(number: str) -> str:
    """Return a number as a word that the tokens' rules leave in one piece."""
    return "q" + "".join("bcdfghjkmp"[int(digit)] for digit in number)


def edges_of(pairs: Any) -> Edges:
    """Return pairs as edges of one relation."""
    count = len(pairs)
    return Edges(
        pairs[:, 0], pairs[:, 1], np.zeros(count, np.int64), np.ones(count, np.float32), NAMES
    )


def quality(features: Any, pairs: Any, seed: int, hops: int) -> dict[str, float]:
    """Return the AUC of one split."""
    rng = np.random.default_rng(seed)
    nodes = features.shape[0]
    ids = np.arange(nodes)
    known = {tuple(sorted(pair)) for pair in pairs.tolist()}

    def strangers(sources: Any) -> Any:
        drawn: list[tuple[int, int]] = []
        while len(drawn) < len(sources):
            first, second = int(sources[len(drawn)]), int(rng.integers(nodes))
            if first != second and (min(first, second), max(first, second)) not in known:
                drawn.append((first, second))
        return np.array(drawn)

    def score(encoder: Any, message: Edges, held: Any, wrong: Any) -> float:
        vectors = encoder.encode(Sample(ids, features, message.heard(ids), ids), hops)
        similar = [np.einsum("ij,ij->i", vectors[p[:, 0]], vectors[p[:, 1]]) for p in (held, wrong)]
        return auc(*similar)

    lot = rng.permutation(len(pairs))
    held, train = pairs[lot[: len(pairs) // 10]], edges_of(pairs[lot[len(pairs) // 10 :]])
    wrong = np.stack(
        [rng.integers(nodes, size=len(held)), rng.integers(nodes, size=len(held))], axis=1
    )
    fresh = [(a, b) for a, b in wrong.tolist() if a != b and (min(a, b), max(a, b)) not in known]
    wrong = np.array(fresh)
    began = time.perf_counter()
    fitted = fit(ids, features, train, hop_count=hops)
    fit_s = time.perf_counter() - began
    result = {
        "mean_auc": score(GraphMean(), train, held, wrong),
        "head_auc": score(GraphHead(fitted.head), train, held, wrong),
        "fit_s": fit_s,
    }
    # Unseen nodes: neither their edges nor they themselves are in the fit.
    unseen = np.zeros(nodes, dtype=bool)
    unseen[rng.permutation(nodes)[: nodes // 10]] = True
    touches = unseen[pairs].any(axis=1)
    seen = np.flatnonzero(~unseen)
    place = np.full(nodes, -1)
    place[seen] = np.arange(len(seen))
    fitted = fit(seen, features[seen], edges_of(place[pairs[~touches]]), hop_count=hops)
    # Of an unseen node one half of its edges is known when it is embedded, the other is predicted.
    new = pairs[touches][rng.permutation(int(touches.sum()))]
    half = len(new) // 2
    message = edges_of(np.concatenate([pairs[~touches], new[:half]]))
    result["mean_auc_inductive"] = score(GraphMean(), message, new[half:], strangers(new[half:, 0]))
    result["head_auc_inductive"] = score(
        GraphHead(fitted.head), message, new[half:], strangers(new[half:, 0])
    )
    return result


def some_head(rng: np.random.Generator, hops: int, *, is_sum: bool) -> Head:
    """Return a head with the shapes of a fitted one: what it learned does not change what it costs."""
    width = 128 * (1 if is_sum else hops + 3)

    def numbers(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(np.float32)

    return Head(
        idf=np.abs(numbers(TEXT)) + 1,
        basis=numbers(WIDTH, 128),
        mean=numbers(width),
        weights=numbers(width, 128),
        hops=hops,
        is_sum=is_sum,
        auc=0.5,
        relations=NAMES,
    )


def speed(count: int, hops: int) -> dict[str, Any]:
    """Return what encoding a random graph costs beside the products that it rests on."""
    rng = np.random.default_rng(0)
    nodes = count // 10
    built = Features()
    words = rng.integers(0, 5000, (nodes, 12))
    for row in words:
        built.add("task", " ".join(spelt(str(word)) for word in row))
    features = built.matrix()
    pairs = rng.integers(0, nodes, (count, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    edges = edges_of(pairs)
    ids = np.arange(nodes)
    heard = both_ways(edges.src, edges.dst, edges.relations, edges.weights, NAMES)
    sample = Sample(ids, features, heard, ids)
    over = operators(heard, nodes)
    whole = over.both
    dense = rng.standard_normal((nodes, 128)).astype(np.float32)
    heads = {is_sum: GraphHead(some_head(rng, hops, is_sum=is_sum)) for is_sum in (True, False)}
    head = heads[True]

    def seconds(call: Any, times: int = 3) -> float:
        taken: list[float] = []
        for _ in range(times):
            began = time.perf_counter()
            call()
            taken.append(time.perf_counter() - began)
        return min(taken)

    def bare() -> Any:
        # What any such encoder rests on: features into 128 numbers, then a product per hop.
        result = weights @ basis
        for _ in range(hops):
            result = whole @ result
        return result

    weights, basis = weighted(features), head.head.basis
    bare_s = seconds(bare)
    product_s = seconds(lambda: whole @ dense)
    mean_s = seconds(lambda: GraphMean().encode(sample, hops))
    head_s = seconds(lambda: head.encode(sample, hops))
    apart_s = seconds(lambda: heads[False].encode(sample, hops))
    million = len(pairs) / 1e6
    first, second = head.encode(sample, hops), head.encode(sample, hops)
    some = np.sort(rng.choice(nodes, 100, replace=False))
    part = head.encode(Sample(ids, features, heard, some), hops)
    return {
        "edges": len(pairs),
        "one_product_s_per_million": round(product_s / million, 3),
        "bare_s_per_million": round(bare_s / million, 3),
        "mean_s_per_million": round(mean_s / million, 3),
        "head_s_per_million": round(head_s / million, 3),
        "head_apart_s_per_million": round(apart_s / million, 3),
        "mean_times_bare": round(mean_s / bare_s, 2),
        "head_times_bare": round(head_s / bare_s, 2),
        "head_apart_times_bare": round(apart_s / bare_s, 2),
        "same_bits": bool((first == second).all() and (first[some] == part).all()),
    }


if __name__ == "__main__":
    sys.exit(main())
