"""What a simulation says: integers are stored, ratios derived; JSON in and out, and its schemas."""

from sparqsim.results.loading import load_result

__all__ = ["load_result"]
