"""Runner extensions: checkpoint safety and hooks."""
