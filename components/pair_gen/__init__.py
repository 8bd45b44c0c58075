"""From transformed examples to P x K batches of pairs and triplets."""
