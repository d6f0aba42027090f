"""How a run looks: on a terminal, in a log, under a worker, on Prefect's page."""
