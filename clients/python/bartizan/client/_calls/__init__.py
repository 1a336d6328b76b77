"""Calls to the server that wait for their answers, and the connection itself."""
