#!/usr/bin/env bash
# cProfile does not see a query of DuckDB 2: its time is put down to the Python function that called it, as time of that
# function's own, and no line of the profile names DuckDB. Before version 2 there was a line for each method. The client
# of version 2 is built with nanobind, whose methods Python calls without an event for its profilers (sys.setprofile
# gets no "c_call" either).
# Seen while looking for where a run of many small queries spends its time; the remedy is to wrap the connection.
# Exits with 1 if that is no longer so.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/profile_a_query.py" <<'PYTHON'
import cProfile
import io
import pstats
import sys

import duckdb


def my_own_function(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("SELECT sum(hash(i)) FROM range(20000000) t(i)").fetchall()


connection = duckdb.connect(config={"threads": 1})
profile = cProfile.Profile()
profile.runcall(my_own_function, connection)
stats = pstats.Stats(profile, stream=io.StringIO())
total = stats.total_tt
own = next(values[2] for place, values in stats.stats.items() if place[2] == "my_own_function")
seen = sorted(place[2] for place in stats.stats if "duckdb" in place[2])
print(f"DuckDB {duckdb.__version__}: {own / total:4.0%} of the time is my_own_function's own; named of DuckDB: {seen or None}")
is_unseen = not seen and own > 0.9 * total
sys.exit(0 if is_unseen == (sys.argv[1] == "unseen") else 1)
PYTHON
for pair in 1.4.4:seen 2.0.0:unseen; do
  python3 -m venv "$folder/venv-${pair%:*}"
  "$folder/venv-${pair%:*}/bin/pip" install --quiet --disable-pip-version-check "duckdb==${pair%:*}"
  "$folder/venv-${pair%:*}/bin/python" "$folder/profile_a_query.py" "${pair#*:}"
done
