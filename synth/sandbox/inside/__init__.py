"""Files that run inside the sandbox, alone: the examiner, the candidate, and what lies between."""
