"""The way of a span from a door to the disk."""
