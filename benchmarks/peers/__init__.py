"""What the server is measured beside: each a program of its own that does as little as can be done."""
