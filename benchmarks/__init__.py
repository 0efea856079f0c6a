"""Benchmarks of manyhands beside its rivals, all in one run: ``python -m benchmarks``. See README.md here."""
