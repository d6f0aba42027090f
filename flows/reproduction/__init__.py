"""Would I get this again? An OUT's requests, or three of an experiment's, made again and compared."""
