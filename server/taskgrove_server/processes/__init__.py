"""Processes that outlive the server: started, followed, stopped and swept through a supervisor each."""
