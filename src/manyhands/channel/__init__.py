"""Queues and pipes: typed messages over rings. Floor 2."""
