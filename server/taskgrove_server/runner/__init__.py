"""The run's life: slots, dispatch, the flow of a task, recovery at start."""
