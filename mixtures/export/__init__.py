"""Export: a token dataset or a mixture, as files that other trainers read."""
