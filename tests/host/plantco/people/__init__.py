"""The host's own users."""
