"""Sessionry from inside other frameworks: what they keep of a conversation goes into our log."""
