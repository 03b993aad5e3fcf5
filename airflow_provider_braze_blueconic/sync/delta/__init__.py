"""What must be sent: the mapped snapshot compared with the ledger."""
