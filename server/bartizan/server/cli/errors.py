"""What stops a command and is nobody's wrong usage."""


class Failed(Exception):
    """Raised to end a command with exit code 1; its text is one sentence for a person."""
