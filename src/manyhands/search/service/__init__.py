"""The search service: a tree held in memory, asked over HTTP, a Unix socket, a page, and MCP.

See docs/internals/service.md.

Always true: importing this package imports nothing of it. `register` and `frames` need the standard library alone: the
command ``manyhands search`` waits for them.
"""
