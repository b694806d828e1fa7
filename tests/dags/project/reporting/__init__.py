"""What becomes of a query."""
