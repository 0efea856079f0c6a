"""Engines: the hands that run what the scheduler deals. All follow `protocol.Engine`."""
