"""Pictures of results."""

from .result_drawing import draw_results, make_contact_sheet

__all__ = ['draw_results', 'make_contact_sheet']
