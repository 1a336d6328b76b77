"""OpenTelemetry, and the libraries that are instrumented by it."""
