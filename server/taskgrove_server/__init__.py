"""The Taskgrove service."""
