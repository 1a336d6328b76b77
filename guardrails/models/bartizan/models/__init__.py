"""The files of the model of the second look, which `bartizan.guardrails.engine` reads."""
