"""OUT: where it is, who may write to it, opened, drawn, and what its plan says of a row."""
