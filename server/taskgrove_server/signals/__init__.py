"""What tells the parts of the server that something was stored."""
