"""What outlives a run: the ledger, the receipts, the runs, and what is in doubt."""
