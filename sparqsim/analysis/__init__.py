"""Closer looks: heat maps, waveforms, bandwidth, roofline, timelines, networks in memory."""
