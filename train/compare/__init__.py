"""Whether one arm of an ablation is better than the control, or within noise."""
