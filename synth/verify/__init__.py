"""Exact verifiers: of a completion, whether it is right. Rewards of training use the same ones."""
