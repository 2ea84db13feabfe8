"""What the command line does, one file per topic.

Heavy imports stand inside functions, so that help and parsing are instant.
"""
