"""What a program records: spans, sessions, feedback; nothing here sends."""
