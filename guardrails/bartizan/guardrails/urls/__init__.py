"""URLs that are not wanted, not what they seem, or carry data away."""
