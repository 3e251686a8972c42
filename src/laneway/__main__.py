"""Makes `python -m laneway` the same as `laneway`. It holds nothing else: commands live in `laneway.cli`."""

from __future__ import annotations

from laneway.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
