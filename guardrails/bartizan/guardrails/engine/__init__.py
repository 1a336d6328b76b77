"""What stands between the guardrails and the libraries and models that do the finding."""
