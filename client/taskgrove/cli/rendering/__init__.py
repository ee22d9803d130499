"""What a person sees: an agent's lines as text, and the state of its task."""
