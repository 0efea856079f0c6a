"""Shared memory: the family's arena, and how objects get into and out of it. Floor 1."""
