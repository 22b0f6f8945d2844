"""The search: pure maths of latents, truncation, strategies as coroutines, and the engine that runs them in batches."""
