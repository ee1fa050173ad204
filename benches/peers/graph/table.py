"""The rows that every peer wrote, as a table in markdown."""

import sys

# What each really solves: none but ours knows a bound on hops.
SOLVES = {
    "find_paths": "the best within 6 hops, with records and trusts",
    "BidirectionalDijkstra": "the best of any length, from both ends",
    "get_shortest_path (Dijkstra)": "the best of any length; weights copied for each call",
    "dijkstra_shortest_paths": "the best of any length; all weights fetched from Python for each call",
    "astar without heuristic": "the best of any length",
    "bidirectional_dijkstra": "the cost of any length, no path",
}

rows = [line.rstrip("\n").split("\t") for line in open(sys.argv[1], encoding="utf-8")]
ours = {row[0]: float(row[4]) for row in rows if row[2] == "find_paths"}
print("| network | who | what it solves | pairs | p50 µs | p99 µs | p50, ours = 1 | "
      "the best within 6 hops | longer than 6 hops | else |")
print("|---|---|---|---|---|---|---|---|---|---|")
for network, who, what, pairs, p50, p99, right, long, other in rows:
    times = float(p50) / ours[network]
    share = f"{100 * int(right) / int(pairs):.1f} %"
    print(f"| {network} | {who} `{what}` | {SOLVES[what]} | {pairs} | {float(p50):,.0f} | "
          f"{float(p99):,.0f} | {times:,.1f} | {share} | {long} | {other} |")
print("\nOne thread each, the same pairs and whole-number costs. \"Longer\": its answer has more than 6\n"
      "hops, so it is no answer to the question. NetworKit, igraph and rustworkx are called from\n"
      "Python, as they are used; nothing is taken off for that.")
