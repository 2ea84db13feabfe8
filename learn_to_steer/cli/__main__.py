"""`python -m learn_to_steer.cli`."""

from .main import main

raise SystemExit(main())
