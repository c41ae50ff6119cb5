"""How optimisers are set up for a model's parameters."""

from .layer_decay_lr_mult_constructor import LayerDecayLrMultConstructor

__all__ = ['LayerDecayLrMultConstructor']
