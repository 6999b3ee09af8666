"""`nsnet adapt`: a checkpoint's sampler learns a user's own footage, without labels."""
