"""Verdicts before acting."""
