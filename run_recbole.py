"""Run one experiment, as RecBole users type it; see ``python run_recbole.py --help``."""

import sys

from recbole_cllm4rec.cli import main

if __name__ == "__main__":
    sys.exit(main())
