"""The manifest: what a run leaves behind, as Parquet files and a page to look at."""

from reelsweep.tasks.manifest.read import read_attempts, read_facts, read_manifest

__all__ = ["read_attempts", "read_facts", "read_manifest"]
