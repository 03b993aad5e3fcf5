"""What another writer puts where ours is about to write."""

from __future__ import annotations

import json
import time

__all__ = ["others_write"]


def others_write(path: str, body: bytes) -> bytes:
    """Return what another writer puts at a path.

    In the log of a Delta table: a commit that changes nothing, of a writer that also makes the table where ours does.
    """
    if "/_delta_log/" not in path:
        return body
    ours = [json.loads(line) for line in body.splitlines() if line.strip()]
    info = {"commitInfo": {"timestamp": int(time.time() * 1000), "operation": "WRITE", "engineInfo": "sandbox"}}
    makes = [action for action in ours if "protocol" in action or "metaData" in action]
    return b"\n".join(json.dumps(action).encode() for action in [info, *makes])
