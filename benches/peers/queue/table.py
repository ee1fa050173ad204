"""The lines that every queue wrote, as tables in markdown."""

import json
import re
import statistics
import sys

results, lock, package = sys.argv[1:]
lock = open(lock, encoding="utf-8").read()
package = json.load(open(package, encoding="utf-8"))["dependencies"]
lines = [json.loads(line) for line in open(results, encoding="utf-8")]
machine = lines.pop()


def crate(name):
    return re.search(rf'name = "{name}"\nversion = "([^"]+)"', lock)[1]


# Name, database, effect and acknowledgement in one transaction, after `kill -9`.
ONE, TWO = "one", "two"
RIVER = f"riverqueue {crate('riverqueue')}"
RESCUED = "rescued after an hour; applied"
QUEUES = {
    "rhiz": ("Rhiz", "SQLite", ONE, "taken up at the next start; applied once"),
    "river-sqlite": (RIVER, "SQLite", TWO, f"{RESCUED} again"),
    "river-sqlite-tx": (f"{RIVER}, `job_complete_tx`", "SQLite", ONE, f"{RESCUED} once"),
    "apalis-sqlite": (f"apalis-sqlite {crate('apalis-sqlite')}", "SQLite", TWO,
                      "taken up after missed heartbeats (60 s); applied again"),
    "river-postgres": (RIVER, "PostgreSQL", TWO, f"{RESCUED} again"),
    "river-postgres-tx": (f"{RIVER}, `job_complete_tx`", "PostgreSQL", ONE, f"{RESCUED} once"),
    "awa": (f"awa {crate('awa')}", "PostgreSQL", TWO,
            "rescued after missed heartbeats (90 s); applied again"),
    "graphile-worker": (f"graphile-worker {package['graphile-worker']}", "PostgreSQL", TWO,
                        "unlocked after 4 hours; applied again"),
    "pg-boss": (f"pg-boss {package['pg-boss']}, `transactional`", "PostgreSQL", ONE,
                "fetched again when it has expired (15 min); applied once"),
}


def median(name, mode, field):
    values = [line[field] for line in lines
              if line["queue"] == name and line["mode"] == mode and field in line]
    return statistics.median(values) if values else float("nan")


def shown(value):
    return "" if value != value else f"{value:,.0f}"


def runs(name):
    return sum(line["queue"] == name and line["mode"] == "together" for line in lines)


names = [name for name in QUEUES if any(line["queue"] == name for line in lines)]
print(f"Medians of {runs('rhiz')}; PostgreSQL {machine['postgres']}, Node {machine['node']}.\n")
print("| queue | database | feed and workers together, events/s | enqueue all, then work: events/s "
      "| of that the enqueue alone, events/s | Rhiz / the better of the two |")
print("|---|---|---|---|---|---|")
ours = median("rhiz", "together", "per_second")
for name in names:
    title, database, *_ = QUEUES[name]
    row = [median(name, "together", "per_second"), median(name, "backlog", "per_second"),
           median(name, "backlog", "enqueued_per_second")]
    measured = [value for value in row[:2] if value == value]
    times = "" if name == "rhiz" or not measured else f"{ours / max(measured):,.1f} ×"
    print(f"| {title} | {database} | " + " | ".join(map(shown, row)) + f" | {times} |")

print("\n| queue | database | a steady 1,000 events/s, due → applied: mean ms | p50 ms | p99 ms "
      "| effect and acknowledgement: transactions | what a worker held at `kill -9` |")
print("|---|---|---|---|---|---|---|")
for name in names:
    title, database, transactions, killed = QUEUES[name]
    steady = next((line for line in lines if line["queue"] == name and line["mode"] == "steady"), None)
    if steady is None:
        continue
    row = [f"{steady[field]:,.1f}" for field in ("mean_ms", "p50_ms", "p99_ms")]
    if not steady["kept_up"]:
        behind = f"does not keep up: {steady['applied']:,} of {steady['events']:,} applied"
        row = [behind, "", ""]
    print(f"| {title} | {database} | " + " | ".join(row) + f" | {transactions} | {killed} |")
