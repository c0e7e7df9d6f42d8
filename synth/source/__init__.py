"""Sources: where a flow's rows come from, and how one row becomes several."""
