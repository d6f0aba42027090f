"""The Prefect server seen from a run: one of our own, what it is sent of a table, and its loss."""
