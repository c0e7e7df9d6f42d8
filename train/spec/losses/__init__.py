"""Options of the losses, a class each; without torch, so that `plan` needs none."""
