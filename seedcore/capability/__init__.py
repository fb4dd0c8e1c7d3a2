"""Capabilities: what the subtask types of a policy say of who does them, and with what."""
