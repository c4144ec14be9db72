"""What users write and read: the custom resources as typed values, and the CRDs made from them."""
