#!/bin/sh
# pyarrow: where a column is a list of texts, a plain text is taken for the list of its characters, without a word.
# A number or a mapping in the same place is an error. Seen in pyarrow 26.0.1. Exits with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PY'
import sys

import pyarrow as pa

print("pyarrow", pa.__version__)
texts = pa.list_(pa.string())
made = pa.array([["ann"], "ann"], texts).to_pylist()
print('pa.array([["ann"], "ann"], list<string>) ->', made)
try:
    pa.array([["ann"], 5], texts)
except pa.ArrowException as error:
    print('pa.array([["ann"], 5], list<string>) ->', type(error).__name__, error)
else:
    sys.exit(1)
sys.exit(made != [["ann"], ["a", "n", "n"]])
PY
