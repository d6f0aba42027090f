"""The manifest: what a run leaves behind, as Parquet files."""

from reelsweep.tasks.manifest.read import read_attempts, read_facts, read_manifest

__all__ = ["read_attempts", "read_facts", "read_manifest"]
