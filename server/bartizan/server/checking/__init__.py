"""Verdicts before acting: what is done for a check on top of what the rules say."""
