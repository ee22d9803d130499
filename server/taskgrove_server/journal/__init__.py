"""The log by position: who follows it, who reads it, who is woken."""
