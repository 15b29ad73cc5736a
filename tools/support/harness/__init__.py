"""What the tools share that drive a node from outside: `resp` speaks to it, `node` starts and kills it, `ledger` knows
what it has acknowledged and judges what it gives back."""
