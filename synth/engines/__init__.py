"""Models behind one interface: vLLM in-process, any compatible server, transformers, and a fake."""
