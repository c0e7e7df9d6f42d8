"""From dataset versions to weights, and to a packed token plan that resumes exactly."""
