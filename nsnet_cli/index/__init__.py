"""Answers questions about a folder of results: `nsnet find`. The index is a cache that can be deleted at any time."""
