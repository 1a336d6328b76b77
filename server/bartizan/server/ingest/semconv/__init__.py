"""The semantic conventions of OpenTelemetry traces, and what they mean for a span.

`table` says what maps to what; the other modules carry it out.
"""
