"""Agent backends: one file each, a registry, and what all share."""
