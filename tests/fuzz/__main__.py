"""``python -m tests.fuzz``: attacks on the tool, with fixed seeds; see :mod:`fuzz.command`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests import one another from here

from fuzz.command import main

if __name__ == "__main__":
    sys.exit(main())
