"""Print how fast the parts are, each in a process of its own: ``make bench`` or ``make bench ARGS=upload``."""

from __future__ import annotations

import subprocess
import sys

BENCHES = ("upload", "core", "export", "parse")


def main() -> int:
    wanted = sys.argv[1:] or BENCHES
    unknown = [name for name in wanted if name not in BENCHES]
    if unknown:
        print(f"There is no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}.", file=sys.stderr)
        return 2
    codes = [subprocess.run([sys.executable, "-m", f"tests.bench.{name}"]).returncode for name in wanted]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
