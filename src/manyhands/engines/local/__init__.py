"""The local engine: one process a worker, a ring to each, one ring back."""
