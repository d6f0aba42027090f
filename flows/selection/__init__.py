"""`--accept`: which candidates of a row are made so that enough are accepted, and what came of it."""
