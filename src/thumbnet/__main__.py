"""`python -m thumbnet` is the command `thumbnet`."""

import sys

from thumbnet.cli import main

sys.exit(main())
