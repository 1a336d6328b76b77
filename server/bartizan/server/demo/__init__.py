"""`bartizan demo`: a server of its own, made-up traffic of four agents, and a live view."""
