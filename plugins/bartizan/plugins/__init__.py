"""What a plugin is, how it is found and how a chain of them is run."""
