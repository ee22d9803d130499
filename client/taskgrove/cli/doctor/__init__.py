"""What can be wrong with a person's set-up, and what to do about it: one plain function for each check."""
