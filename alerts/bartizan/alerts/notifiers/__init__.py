"""The channels: each takes one notification away, or says why it could not."""
