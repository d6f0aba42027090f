"""Every file of an OUT or of an export, held against what is written about it."""
