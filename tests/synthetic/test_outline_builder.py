import numpy as np

from rmpe_spm.synthetic.outline_builder import OutlineBuilder, Part


def builder(perspective=0.0, levels=1):
    return OutlineBuilder(100.0, (50, 60), perspective, (0, 0), levels)


def test_projection_by_hand():
    points = np.array([(0.1, 0.2, 0.0), (0.1, 0.2, 0.5)])
    flat = builder().project(points)
    np.testing.assert_allclose(flat, [(60, 40), (60, 40)])
    near = builder(perspective=0.4).project(points)
    np.testing.assert_allclose(near, [(60, 40), (62.5, 35)])


def test_a_capsule_is_as_long_and_as_wide_as_said():
    build = builder()
    start, end = np.array([-0.1, 0, 0]), np.array([0.2, 0, 0])
    build.capsule(Part.LEFT_THIGH, start, end, 0.05, 0.02)
    (outline,) = build.build()
    polygon = outline.polygons[0]
    assert outline.part == Part.LEFT_THIGH
    np.testing.assert_allclose(polygon.min(0), (35, 55))
    np.testing.assert_allclose(polygon.max(0), (72, 65))


def test_a_capsule_seen_from_its_end_is_a_disc():
    build = builder()
    point = np.array([0.0, 0, 0])
    build.capsule(Part.PUPIL, point, point, 0.1, 0.1)
    (outline,) = build.build()
    radii = np.linalg.norm(outline.polygons[0] - (50, 60), axis=1)
    np.testing.assert_allclose(radii, 10)


def test_pieces_come_far_to_near():
    build = builder()
    square = np.array([(0, 0, 0), (0.1, 0, 0), (0.1, 0.1, 0), (0, 0.1, 0.0)])
    build.hull(Part.TORSO, square + (0, 0, 0.1))
    build.hull(Part.PELVIS, square - (0, 0, 0.1))
    build.hull(Part.SKIRT, square, bias=0.5)
    point = np.zeros(3)
    build.capsule(Part.NECK, point, point, 0.1, 0.1)
    order = [outline.part for outline in build.build()]
    assert order == [Part.PELVIS, Part.NECK, Part.TORSO, Part.SKIRT]


def test_shading_levels_lie_inside_the_piece():
    build = builder(levels=3)
    square = np.array([(0, 0, 0), (0.1, 0, 0), (0.1, 0.1, 0), (0, 0.1, 0.0)])
    build.hull(Part.TORSO, square)
    point = np.zeros(3)
    build.capsule(Part.NECK, point, point, 0.1, 0.1)
    for outline in build.build():
        outer, middle, inner = outline.polygons
        for small, large in ((middle, outer), (inner, middle)):
            assert (small.min(0) > large.min(0)).all()
            assert (small.max(0) < large.max(0)).all()
