"""`python -m aspire_llm`: the command line, for launchers that take a module."""

import sys

from aspire_llm.cli import main

sys.exit(main())
