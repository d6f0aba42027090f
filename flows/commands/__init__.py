"""One module per command of the console script; each translates options, calls the core, prints."""
