"""``python -m recbole_cllm4rec`` is ``run_recbole.py`` from any folder."""

import sys

from recbole_cllm4rec.cli import main

if __name__ == "__main__":
    sys.exit(main())
