"""NetworKit, rustworkx and igraph on the networks that `cargo bench -p rhiz-graph -- emit=DIR` wrote.

    peers.py DIR NETWORK PAIRS SECONDS

One thread, the same pairs, one row of the table for each search; at most so many pairs, and no new
one after so long. What is timed is what a user of the library calls for a pair, the way from Python
into the library included.
"""

import gc
import importlib.metadata
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

NONE = 2**32 - 1
MOST_HOPS = 6


def load(folder, network):
    """Number of people, the columns (a, b, cost) of the edges, and the pairs with our answers."""
    numbers = np.fromfile(f"{folder}/{network}.edges", dtype="<u4")
    people, count = int(numbers[0]), int(numbers[1])
    columns = numbers[2 : 2 + 3 * count].reshape(3, count)
    pairs = np.fromfile(f"{folder}/{network}.pairs", dtype="<u4").reshape(-1, 4)
    return people, columns, pairs


class Run:
    """What is the same for all."""

    def __init__(self, folder, network, pairs, seconds):
        self.folder, self.network, self.seconds = folder, network, float(seconds)
        self.people, self.columns, every = load(folder, network)
        self.pairs = every[: int(pairs)].tolist()

    def measure(self, peer, what, ask, judge, prepare=lambda source, target: (source, target)):
        """Times `ask(*prepare(from, to))` without the preparation. `judge` says (cost, hops) of
        its answer; None: no path."""
        times, right, long, other = [], 0, 0, 0
        began = time.perf_counter()
        for source, target, cost, _ in self.pairs:
            ready = prepare(source, target)
            start = time.perf_counter_ns()
            answer = ask(*ready)
            times.append(time.perf_counter_ns() - start)
            found = judge(answer)
            if (found is None) != (cost == NONE):
                # Without a bound there is a path where within it there is none.
                long, other = (long, other + 1) if found is None else (long + 1, other)
            elif found is None or (found[1] <= MOST_HOPS and round(found[0]) == cost):
                right += 1
            elif found[1] > MOST_HOPS:
                long += 1
            else:
                other += 1
            if time.perf_counter() - began > self.seconds:
                break
        times.sort()
        p50, p99 = (times[int((len(times) - 1) * share)] / 1e3 for share in (0.5, 0.99))
        name = f"{peer} {importlib.metadata.version(peer.lower())}"
        row = [self.network, name, what, len(times), f"{p50:.1f}", f"{p99:.1f}", right, long, other]
        with open(f"{self.folder}/results.tsv", "a", encoding="utf-8") as table:
            print(*row, sep="\t", file=table)


def networkit(run):
    import networkit as nk

    nk.setNumberOfThreads(1)
    a, b, cost = run.columns
    ends = (a.astype(np.uint64), b.astype(np.uint64))
    graph = nk.GraphFromCoo((cost.astype(np.float64), ends), n=run.people, weighted=True)
    assert graph.numberOfEdges() == len(cost) and not graph.isDirected()

    def judge(search):
        # It tells an end that it cannot reach by the largest distance, and a path without its ends.
        far = search.getDistance()
        return None if far > 1e300 else (far, len(search.getPath()) + 1)

    # A new object for each pair, made before the clock starts: `setSource` and `setTarget` on one
    # that has run gave wrong distances (seen with 11.3).
    def prepare(source, target):
        return (nk.distance.BidirectionalDijkstra(graph, source, target),)

    run.measure("NetworKit", "BidirectionalDijkstra", lambda s: s.run(), judge, prepare)


def igraph(run):
    import igraph as ig

    a, b, cost = run.columns
    graph = ig.Graph(n=run.people, edges=np.stack([a, b], axis=1))
    costs = cost.astype(np.float64).tolist()
    graph.es["cost"] = costs

    def ask(source, target):
        return graph.get_shortest_path(source, target, weights="cost", output="epath")

    def judge(path):
        return (sum(costs[e] for e in path), len(path)) if path else None

    run.measure("igraph", "get_shortest_path (Dijkstra)", ask, judge)


def rustworkx(run):
    import rustworkx as rx

    a, b, cost = run.columns
    graph = rx.PyGraph(multigraph=False)
    graph.add_nodes_from(range(run.people))
    graph.add_edges_from(list(zip(a.tolist(), b.tolist(), cost.astype(np.float64).tolist())))

    def ask(source, target):
        return rx.dijkstra_shortest_paths(graph, source, target, weight_fn=float)

    def judge(paths):
        for path in paths.values():
            hops = list(zip(path, list(path)[1:]))
            return sum(graph.get_edge_data(x, y) for x, y in hops), len(hops)
        return None

    run.measure("rustworkx", "dijkstra_shortest_paths", ask, judge)


if __name__ == "__main__":
    task = Run(*sys.argv[1:])
    for peer in (networkit, igraph, rustworkx):
        gc.collect()
        gc.disable()
        peer(task)
        gc.enable()
