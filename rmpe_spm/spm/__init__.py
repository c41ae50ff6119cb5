"""SPM: all people of an image in one forward pass.

A training sample passes ``transforms`` (a window on the picture, the mask of
crowds), ``codec`` (``heatmaps`` and ``displacements`` draw what the tree of
``kinematics`` says) and ``head`` with its loss (``stage``). A prediction
passes ``head``, ``test_time_augmentation`` (mirrored and other sizes),
``decoding`` (peaks, and the vectors read there) and ``postprocessing``. In 3D
``codec_3d`` takes the codec's place.
"""
