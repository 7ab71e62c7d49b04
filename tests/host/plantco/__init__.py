"""Somebody else's project: users, prefix, transactions, queue and channel layer of its own, and the twins."""
