"""The PairGen step: P x K batches of pairs and triplets from transformed examples."""
