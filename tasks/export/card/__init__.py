"""The page that explains a dataset: README.md with the header hubs read, and a figure."""
