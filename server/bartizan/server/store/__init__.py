"""PostgreSQL: its start, its schema, what is written in it and how it is read."""
