"""The whole of what `test_load.py` has a short form of; SOAK_SECONDS (1800) is how long tasks are started."""

import os

os.environ["SOAK"] = "1"
from test_load import *  # noqa: F403
