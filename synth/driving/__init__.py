"""What the driver is made of: the request log, lanes to services, budgets, goodput."""
