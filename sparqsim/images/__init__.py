"""Pictures for a network: where they come from, what is done to them, their classes."""

from sparqsim.images.labels import checked_labels, load_labels
from sparqsim.images.optional import needed
from sparqsim.images.pictures import SUFFIXES, Pictures

__all__ = ["SUFFIXES", "Pictures", "checked_labels", "load_labels", "needed"]
