import numpy as np

from rmpe_spm.synthetic.appearance import (
    random_colour,
    random_skin,
    sample_appearance,
    sample_proportions,
)
from rmpe_spm.synthetic.textures import PATTERNS


def test_same_seed_same_looks():
    looks = [sample_appearance(np.random.default_rng(3)) for _ in range(2)]
    assert looks[0] == looks[1]
    assert looks[0] != sample_appearance(np.random.default_rng(4))


def test_every_kind_occurs_and_no_other():
    rng = np.random.default_rng(0)
    looks = [sample_appearance(rng) for _ in range(300)]
    assert {look.hair_style for look in looks} == {
        'short', 'long', 'bald', 'cap',
    }  # fmt: skip
    assert {look.sleeves for look in looks} == {'none', 'short', 'long'}
    assert {look.legwear for look in looks} == {'trousers', 'shorts', 'skirt'}
    assert {look.shirt.pattern for look in looks} == set(PATTERNS)
    assert {look.backpack is None for look in looks} == {True, False}
    assert all(0.75 <= look.girth <= 1.7 for look in looks)


def test_children_have_large_heads():
    rng = np.random.default_rng(0)
    bodies = [sample_proportions(rng) for _ in range(500)]
    heads = np.array([body.head_radii[1] for body in bodies])
    children = heads > 0.085
    assert 0.06 < children.mean() < 0.2
    thighs = np.array([body.thigh for body in bodies])
    assert thighs[children].mean() < 0.95 * thighs[~children].mean()


def test_colours_are_colours():
    rng = np.random.default_rng(0)
    cloth = np.array([random_colour(rng) for _ in range(200)])
    assert cloth.min() > -40 and cloth.max() < 290
    skin = np.array([random_skin(rng) for _ in range(200)])
    blue, green, red = skin.T
    assert (blue < red).all() and (green < 1.2 * red).all()
