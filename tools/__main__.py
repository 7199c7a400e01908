"""Entry point: checks the Python version before importing anything that needs it."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - older ones do get here
    version = ".".join(map(str, sys.version_info[:3]))
    sys.exit(
        f"error: Python 3.11 or later is needed, but {sys.executable} is Python {version}.\n"
        "Name another one with PYTHON, for example: make test PYTHON=python3.12"
    )

from tools.tasks import main

sys.exit(main(sys.argv[1:]))
