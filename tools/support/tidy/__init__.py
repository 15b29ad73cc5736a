"""The walk over the tree behind `tools/tidy`: `tables` says what holds, `source` reads, `rules` judges."""
