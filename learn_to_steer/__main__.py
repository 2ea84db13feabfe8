"""`python -m learn_to_steer`: the command line."""

from .cli import main

raise SystemExit(main())
