"""The guardrails that come with Bartizan."""

from importlib.resources import files


def default_rules() -> str:
    """Returns the rules, a YAML document, for whoever has written none."""
    return (files(__name__) / "default_rules.yaml").read_text(encoding="utf-8")
