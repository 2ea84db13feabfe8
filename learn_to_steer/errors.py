"""The error for bad input that is met at the door."""


class SteeringError(ValueError):
    """Input that cannot be used.

    The message is one sentence: what was expected, what came, and what to do. The command line prints it and
    exits with code 2; a node shows it as it is.
    """


class UnreadableModel(SteeringError):
    """A model of a kind whose attention cannot be read, so that nothing can be steered in it."""
