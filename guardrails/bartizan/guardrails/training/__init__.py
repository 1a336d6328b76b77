"""What the built-in models are trained and measured with. Nothing here runs in the server."""
