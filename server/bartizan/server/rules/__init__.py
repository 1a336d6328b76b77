"""The guardrail rules in force, by project, and what is done with them beside judging spans."""
