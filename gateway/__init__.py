"""The HTTP side: multipart requests in, Triton's gRPC behind, JSON out."""
