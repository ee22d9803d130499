"""Git worktrees, through GitPython."""
