"""Repositories inside a task's worktree: submodules, such that an agent made, and worktrees of sub-agents."""
