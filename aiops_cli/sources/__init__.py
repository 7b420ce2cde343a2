"""One client a protocol: it asks, and turns answers into models. No fan-out, no cache, no printing."""
