"""Measures what the server costs, always beside a limit or a peer in the same run. `make bench` runs all."""
