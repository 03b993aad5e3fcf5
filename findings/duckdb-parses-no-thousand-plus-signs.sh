#!/usr/bin/env bash
# DuckDB refuses a sum of a thousand terms: it parses a chain of "+" as terms within terms, and no more than 1,000 of
# them ("Max expression depth limit"). A chain of "OR" of the same length passes, since that is one expression with many
# children, and so does the sum of a list of many more values.
# Seen with a table of a thousand columns, of which a query adds something up; the remedy is list_sum([...]).
# Exits with 1 if that is no longer so.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/add_up.py" <<'PYTHON'
import sys

import duckdb

TERMS = [f"(i = {number})" for number in range(1_100)]
QUERIES = {
    "+": " + ".join(f"{term}::INTEGER" for term in TERMS),
    "OR": " OR ".join(TERMS),
    "list_sum": f"list_sum([{', '.join(f'{term}::INTEGER' for term in TERMS)}])",
}


def outcome(expression: str) -> str:
    try:
        return str(duckdb.sql(f"SELECT {expression} FROM range(3, 4) AS t(i)").fetchall()[0][0])
    except duckdb.Error as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:60]}"


found = {name: outcome(expression) for name, expression in QUERIES.items()}
print(f"DuckDB {duckdb.__version__}, {len(TERMS):,} terms: {found}")
sys.exit(0 if found["+"].startswith("ParserException") and (found["OR"], found["list_sum"]) == ("True", "1") else 1)
PYTHON
for version in 1.4.4 2.0.0; do
  python3 -m venv "$folder/venv-$version"
  "$folder/venv-$version/bin/pip" install --quiet --disable-pip-version-check "duckdb==$version"
  "$folder/venv-$version/bin/python" "$folder/add_up.py"
done
