"""From a URL to a stored, understood file: the door, download, probe, store.

After the Outcome, before the ledger settles.
"""
