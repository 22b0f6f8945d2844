"""How good generators are, and how diverse faults are, in the features of a network."""
