"""Searches of other people, on the networks, sources and gates of latreg."""
