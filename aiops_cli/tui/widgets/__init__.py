"""What several screens are built of."""
