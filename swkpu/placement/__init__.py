"""Where buffers lie in L2 and L1, and from which layer on: prefetch is memory that is free early enough."""
