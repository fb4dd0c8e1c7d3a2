"""`python -m seedcore_cli` is the same program as `seedcore`."""

from __future__ import annotations

from seedcore_cli.main import main

if __name__ == "__main__":
    main()
