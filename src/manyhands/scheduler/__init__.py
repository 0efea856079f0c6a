"""What runs where and when, decided without clocks, threads or I/O. Floor 1."""
