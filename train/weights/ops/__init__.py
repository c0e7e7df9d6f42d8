"""Operations on checkpoints, one a file; imported when first named."""
