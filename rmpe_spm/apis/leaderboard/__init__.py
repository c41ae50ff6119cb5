"""One table over many models, data sets and sources of boxes."""

from .building import build_tables, write_tables
from .listing import Listing, listing_of_pairs, read_listing
from .notes import make_notes
from .running import Outcome, evaluate_all, retry

__all__ = [
    'Listing',
    'Outcome',
    'build_tables',
    'evaluate_all',
    'listing_of_pairs',
    'make_notes',
    'read_listing',
    'retry',
    'write_tables',
]
