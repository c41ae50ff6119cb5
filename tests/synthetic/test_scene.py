import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rmpe_spm.synthetic.scene import (
    CROWD_SHARE,
    PEOPLE_COUNTS,
    STATURES,
    compose_scene,
    sample_placements,
)


def test_distribution_of_the_places():
    rng = np.random.default_rng(0)
    layouts = [sample_placements(rng, (640, 480)) for _ in range(3000)]
    counts = np.array([sum(not p.in_crowd for p in x) for x in layouts])
    for count, share in PEOPLE_COUNTS.items():
        assert abs((counts == count).mean() - share) < 0.03
    crowds = np.array([any(p.in_crowd for p in x) for x in layouts])
    assert abs(crowds.mean() - CROWD_SHARE) < 0.015
    statures = np.array(
        [p.stature for x in layouts for p in x if not p.in_crowd]
    )
    low, high = STATURES
    assert np.mean((statures > 0.6 * low) & (statures < 1.6 * high)) > 0.98


def test_nearer_people_are_painted_later():
    rng = np.random.default_rng(1)
    for _ in range(50):
        places = sample_placements(rng, (640, 480))
        crowd = [p.in_crowd for p in places]
        assert crowd == sorted(crowd, reverse=True)
        bottoms = [p.bottom for p in places if not p.in_crowd]
        assert bottoms == sorted(bottoms)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_owners_are_people_where_they_are_drawn(seed):
    scene = compose_scene(np.random.default_rng(seed), (160, 120))
    assert scene.image.shape == (120, 160, 3)
    assert len(scene.people) == len(scene.in_crowd)
    assert scene.owners.max() <= len(scene.people)
    for number in np.unique(scene.owners[scene.owners > 0]):
        figure = scene.people[number - 1]
        drawn = np.zeros_like(scene.owners)
        h, w = figure.parts.shape
        drawn[figure.y : figure.y + h, figure.x : figure.x + w] = figure.parts
        assert drawn[scene.owners == number].all()


def test_the_last_of_two_is_in_front():
    for seed in range(60):
        scene = compose_scene(np.random.default_rng(seed), (320, 240))
        if len(scene.people) < 2:
            continue
        figure = scene.people[-1]
        h, w = figure.parts.shape
        window = scene.owners[
            figure.y : figure.y + h, figure.x : figure.x + w
        ][figure.parts > 0]
        # a thing may hide the nearest person, another person never does
        assert set(np.unique(window)) <= {0, len(scene.people)}


def test_same_seed_same_scene():
    first, second = (
        compose_scene(np.random.default_rng(5), (160, 120)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.owners, second.owners)
