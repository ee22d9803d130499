"""What all checkouts of a repository share, and what becomes of it while agents run."""
