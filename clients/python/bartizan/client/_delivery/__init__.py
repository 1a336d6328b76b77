"""The way of what was recorded to the server: queue, spool, batches, acks."""
