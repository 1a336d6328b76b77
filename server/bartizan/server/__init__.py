"""The server: doors, ingest, storage, queries and the command line."""

__version__ = "0.1.0"
