"""The words of each language that is read."""
