"""Tasks of an evaluation, a file each; none imports torch at the top."""
