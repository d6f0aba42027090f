"""A dataset to hand over: clips of an OUT with their facts, split, sharded and explained."""
