"""Numbers about records, and the groups of records they are given for."""
