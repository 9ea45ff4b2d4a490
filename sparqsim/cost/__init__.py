"""What a run costs in energy: exact counts, a model fitted on gates, words of memory."""
