"""Run the command line as `python -m seedcore_cli`."""

from __future__ import annotations

import sys

from seedcore_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
