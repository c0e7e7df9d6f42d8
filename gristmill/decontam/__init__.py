"""Decontamination: benchmark items as text, published rules, verdicts on texts that hold items."""
