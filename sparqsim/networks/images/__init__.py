"""Pictures for a network: where they come from, what is done to them, their classes."""

from sparqsim.networks.images.labels import checked_labels, load_labels
from sparqsim.networks.images.optional import needed
from sparqsim.networks.images.pictures import SUFFIXES, Pictures

__all__ = ["SUFFIXES", "Pictures", "checked_labels", "load_labels", "needed"]
