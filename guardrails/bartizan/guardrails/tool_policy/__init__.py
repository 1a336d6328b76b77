"""What tools may be called with: the arguments of calls checked against a policy."""
