"""``python -m edgeformer_runtime`` is ``edgeformer-run``."""

import sys

from .cli import main

sys.exit(main())
