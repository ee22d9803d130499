"""The gRPC front: thin servicers, the error table, conversions."""
