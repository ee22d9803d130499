"""Words and rules, without I/O."""
