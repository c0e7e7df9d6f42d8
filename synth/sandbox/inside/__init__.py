"""Files that run inside the sandbox, alone: the examiner, the candidate, and what lies between.

They import one another as `.name`: inside there is this folder and no other part of us.
"""
