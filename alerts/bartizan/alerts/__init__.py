"""Alert rules, their state, who is told and by which channel."""
