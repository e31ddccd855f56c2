"""The contract, met on any array library: by new arrays (`array_api`), or in place (`in_place`)."""
